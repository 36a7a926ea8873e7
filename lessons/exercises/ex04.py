"""Exercise 04: the linear map, for x of any rank.

    y = x W + b

W is (I, O): one row for each input, one column for each output. Every row of x meets the same W and b.
"""


def forward(x, weight, bias=None):
    """Map x (..., I) to y (..., O) with weight (I, O) and bias (O,), if there is one.

    Returns (y, saved): saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dy):
    """Return (dx, dweight, dbias), the gradients of the loss, given dy (..., O), its gradient by y.

    dx has the shape of x, dweight that of weight, dbias that of bias; dbias is None if there was no bias.
    """
    raise NotImplementedError  # your code goes here
