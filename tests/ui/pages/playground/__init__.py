"""Tests of the Playground page."""
