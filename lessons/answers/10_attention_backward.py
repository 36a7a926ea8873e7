"""The answer to exercise 10: attention, forward and backward.

    scores = q kᵀ / √D,  probs = softmax(scores with future keys masked),  y = probs v

Backward is two matrix products, the backward of softmax, and two more matrix products.
"""

import numpy as np


def forward(q, k, v):
    """For each query, average the values at its own and earlier positions, weighted by similarity.

    q has shape (B, H, T, D), k and v have shape (B, H, S, D), S ≥ T; query t attends to keys 0 to S - T + t.
    Returns (y, saved): y has the shape of q; saved is whatever your backward needs.
    """
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    scale = D**-0.5
    scores = q @ k.swapaxes(2, 3) * scale
    masked = np.where(np.tri(T, S, S - T, dtype=bool), scores, -np.inf)
    probs = _softmax(masked)
    y = probs @ v
    return y, (q, k, v, probs, scale)


def backward(saved, dy):
    """Return (dq, dk, dv), the gradients of the loss, given the upstream gradient dy (B, H, T, D)."""
    q, k, v, probs, scale = saved
    dv = probs.swapaxes(2, 3) @ dy
    dprobs = dy @ v.swapaxes(2, 3)
    row = (probs * dprobs).sum(axis=-1, keepdims=True)
    dscores = probs * (dprobs - row)
    dq = dscores @ k * scale
    dk = dscores.swapaxes(2, 3) @ q * scale
    return dq, dk, dv


def _softmax(scores):
    """Return the softmax over the last axis."""
    exp = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)
