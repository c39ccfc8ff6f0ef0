"""Panels that several pages share: datasets, downloads, recipes, sharing and import."""
