"""Datasets: download, cache, splits, augmentation, rasterization."""
