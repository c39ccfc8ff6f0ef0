"""What is measured side by side: one process each, which trains only when it is told to.

The contenders share no code: what a tutorial would have one write stands against this project. All train the guide's
net on the same 55,000 images of MNIST and are tested on the same 10,000.
"""
