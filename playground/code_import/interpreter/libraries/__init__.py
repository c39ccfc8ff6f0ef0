"""Values of PyTorch and Keras: layers, tensors, sequences of modules, and calls of functions outside of the code."""
