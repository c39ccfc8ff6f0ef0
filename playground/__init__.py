"""CNN Playground: assemble a convolutional network, train it live, draw a digit, look inside every layer.

The rings, each importing only what stands to its right:
``ui | cli → lens → engine → charts | export → spec → errors``.
"""

__version__ = "0.1.0"
