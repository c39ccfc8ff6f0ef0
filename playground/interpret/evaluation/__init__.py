"""Predictions on datasets, robustness, out-of-distribution detection."""
