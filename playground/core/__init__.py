"""Descriptions of networks, recipes and runs as immutable values; no dependency on PyTorch, files or the UI."""
