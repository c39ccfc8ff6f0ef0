"""Activation maximization and top activations."""
