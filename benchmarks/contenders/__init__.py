"""Training programs that are compared, one process each, which trains only on request.

The contenders share no code with this project: they are written as tutorials write them. All train the guide's network
on the same 55,000 images of MNIST and are tested on the same 10,000.
"""
