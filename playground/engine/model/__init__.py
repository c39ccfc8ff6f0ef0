"""PyTorch models: build, device, parameter layout."""
