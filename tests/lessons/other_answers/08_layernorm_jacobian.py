"""Another right answer to exercise 08: the Jacobian of a row as a matrix, computed in forward and saved.

dx̂/dx = (1 - 1/C - x̂ x̂ᵀ/C) / σ is symmetric, so it is its own transpose.
"""

import numpy as np


def forward(x, weight, bias=None, eps=1e-5):
    """Normalize, and make each row's Jacobian."""
    C = x.shape[-1]
    projection = np.eye(C, dtype=x.dtype) - np.ones((C, C), dtype=x.dtype) / C
    centered = x @ projection
    sigma = np.sqrt(np.mean(np.square(centered), axis=-1, keepdims=True) + eps)
    normal = centered / sigma
    jacobian = (projection - normal[..., :, None] * normal[..., None, :] / C) / sigma[..., None]
    y = normal * weight + (0 if bias is None else bias)
    return y, (normal, jacobian @ np.diag(weight), bias is None)


def backward(saved, dy):
    """Return (dx, dweight, dbias)."""
    normal, jacobian, no_bias = saved
    dx = (jacobian @ dy[..., None])[..., 0]
    C = dy.shape[-1]
    dweight = (dy * normal).reshape(-1, C).sum(axis=0)
    return dx, dweight, None if no_bias else dy.reshape(-1, C).sum(axis=0)
