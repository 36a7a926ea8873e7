"""Exercise 04: the linear map, for x with any number of dimensions.

    y = x W + b

W is (I, O): one row per input, one column per output. Every row of x is multiplied by the same W.
"""


def forward(x, weight, bias=None):
    """Map x (..., I) to y (..., O) with weight (I, O) and, unless it is None, bias (O,).

    Returns (y, saved): saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dy):
    """Return (dx, dweight, dbias), the gradients of the loss, given the upstream gradient dy (..., O).

    dx has the shape of x, dweight that of weight, dbias that of bias; dbias is None if there was no bias.
    """
    raise NotImplementedError  # your code goes here
