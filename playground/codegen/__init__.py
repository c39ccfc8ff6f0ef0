"""Code generation: PyTorch and Keras programs and SVG diagrams of networks."""
