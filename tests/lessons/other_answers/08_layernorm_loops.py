"""Another right answer to exercise 08: a loop over rows, with each path of the derivative on its own line."""

import math

import numpy as np


def forward(x, weight, bias=None, eps=1e-5):
    """Normalize each row; save the input."""
    y = np.empty_like(x, subok=False)
    for index in np.ndindex(x.shape[:-1]):
        row = x[index]
        mean = sum(row) / len(row)
        variance = sum((value - mean) ** 2 for value in row) / len(row)
        for i, value in enumerate(row):
            y[(*index, i)] = (value - mean) / math.sqrt(variance + eps) * weight[i]
            if bias is not None:
                y[(*index, i)] += bias[i]
    return y, (x, weight, bias, eps)


def backward(saved, dy):
    """Go through σ first, then through the mean, row by row."""
    x, weight, bias, eps = saved
    dx, dweight = np.empty_like(x), np.zeros_like(weight)
    dbias = None if bias is None else np.zeros_like(bias)
    for index in np.ndindex(x.shape[:-1]):
        centered = x[index] - np.mean(x[index])
        sigma = np.sqrt(np.mean(centered**2) + eps)
        dweight += dy[index] * centered / sigma
        if dbias is not None:
            dbias += dy[index]
        dnormal = dy[index] * weight
        dsigma = -np.sum(dnormal * centered) / sigma**2
        dcentered = dnormal / sigma + dsigma * centered / (sigma * len(centered))
        dx[index] = dcentered - np.sum(dcentered) / len(centered)
    return dx, dweight, dbias
