"""Pixel attribution and counterfactuals."""
