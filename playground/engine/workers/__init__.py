"""Scheduler and worker processes."""
