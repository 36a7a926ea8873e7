"""The answer to exercise 04: the linear map, for x with any number of dimensions.

    y = x W + b

W is (I, O): one row per input, one column per output. Every row of x is multiplied by the same W.
"""


def forward(x, weight, bias=None):
    """Map x (..., I) to y (..., O) with weight (I, O) and, unless it is None, bias (O,).

    Returns (y, saved): saved is whatever your backward needs.
    """
    y = x.reshape(-1, x.shape[-1]) @ weight
    if bias is not None:
        y = y + bias
    return y.reshape(*x.shape[:-1], -1), (x, weight, bias is not None)


def backward(saved, dy):
    """Return (dx, dweight, dbias), the gradients of the loss, given the upstream gradient dy (..., O).

    dx has the shape of x, dweight that of weight, dbias that of bias; dbias is None if there was no bias.
    """
    x, weight, has_bias = saved
    rows = x.reshape(-1, len(weight))  # (N, I)
    drows = dy.reshape(-1, dy.shape[-1])  # (N, O)
    dx = (drows @ weight.T).reshape(x.shape)
    dweight = rows.T @ drows
    dbias = drows.sum(axis=0) if has_bias else None
    return dx, dweight, dbias
