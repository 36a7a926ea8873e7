"""Exercise 10: attention, forward and backward.

    scores = q kᵀ / √D,  probs = softmax(scores with future keys masked),  y = probs v

Backward is two matrix products, the backward of softmax, and two more matrix products.
"""

import numpy as np


def forward(q, k, v):
    """For each query, average the values at its own and earlier positions, weighted by similarity.

    q has shape (B, H, T, D), k and v have shape (B, H, S, D), S ≥ T; query t attends to keys 0 to S - T + t.
    Returns (y, saved): y has the shape of q; saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dy):
    """Return (dq, dk, dv), the gradients of the loss, given the upstream gradient dy (B, H, T, D)."""
    raise NotImplementedError  # your code goes here
