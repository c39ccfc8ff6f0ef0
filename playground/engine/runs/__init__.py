"""Run folders and operations on runs: resume, fork, transfer, replay."""
