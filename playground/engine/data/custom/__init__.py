"""Custom datasets: uploaded images and drawn classes."""
