"""The answer to exercise 08: LayerNorm.

    μ = mean(x),  σ² = mean((x - μ)²) + eps,  x̂ = (x - μ) / σ,  y = x̂ ∘ weight + bias

Means are over the last axis. The variance is divided by C, not by C - 1, and eps is inside the square root.
"""

import numpy as np


def forward(x, weight, bias=None, eps=1e-5):
    """Normalize each row of x (..., C), then scale by weight (C,) and, unless it is None, add bias (C,).

    Returns (y, saved): y has the shape of x; saved is whatever your backward needs.
    """
    centered = x - x.mean(axis=-1, keepdims=True)
    variance = (centered * centered).mean(axis=-1, keepdims=True)
    rstd = 1.0 / np.sqrt(variance + eps)
    x_hat = centered * rstd
    y = x_hat * weight
    if bias is not None:
        y = y + bias
    return y, (x_hat, rstd, weight, bias is not None)


def backward(saved, dy):
    """Return (dx, dweight, dbias), the gradients of the loss, given the upstream gradient dy.

    dx has the shape of x, dweight and dbias have shape (C,); dbias is None if there was no bias.
    """
    x_hat, rstd, weight, has_bias = saved
    dx_hat = dy * weight
    mean = dx_hat.mean(axis=-1, keepdims=True)
    projection = (dx_hat * x_hat).mean(axis=-1, keepdims=True)
    dx = (dx_hat - mean - x_hat * projection) * rstd
    rows = tuple(range(dy.ndim - 1))
    dweight = (dy * x_hat).sum(axis=rows)
    dbias = dy.sum(axis=rows) if has_bias else None
    return dx, dweight, dbias
