"""Static import of networks from PyTorch and Keras code. The code is never executed."""
