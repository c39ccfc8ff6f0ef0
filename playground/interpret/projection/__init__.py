"""2-D projections of a layer's activations."""
