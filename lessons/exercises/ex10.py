"""Exercise 10: attention, forward and backward.

    scores = q kᵀ / √D,  probs = softmax(scores, keys of the future masked),  y = probs v

backward is four matrix products, with the softmax's derivative between the first two and the last two.
"""

import numpy as np


def forward(q, k, v):
    """Let every query average the values of its own and of earlier positions, weighted by similarity.

    q has shape (B, H, T, D), k and v have shape (B, H, S, D), S ≥ T; query t sees the keys 0 to S - T + t.
    Returns (y, saved): y has the shape of q; saved is whatever your backward needs.
    """
    raise NotImplementedError  # your code goes here


def backward(saved, dy):
    """Return (dq, dk, dv), the gradients of the loss, given dy (B, H, T, D), its gradient by y."""
    raise NotImplementedError  # your code goes here
