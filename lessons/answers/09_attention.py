"""The answer to exercise 09: attention, forward.

    scores = q kᵀ / √D,  probs = softmax(scores with future keys masked),  y = probs v

Every head of every sequence is independent. With more keys than queries (S > T) the queries are the last T of
the S positions, so query t attends to keys 0 to S - T + t.
"""

import numpy as np


def forward(q, k, v):
    """For each query, average the values at its own and earlier positions, weighted by similarity.

    q has shape (B, H, T, D), k and v have shape (B, H, S, D), S ≥ T. The last axis of v may also have another
    length: the lesson passes the identity matrix as values, to see the weights.
    Returns (y, probs): y has the shape of q, but the last axis of v; probs are the weights, (B, H, T, S).
    The weights of a query sum to 1, and those of masked keys are 0.
    """
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    scale = D**-0.5
    scores = q @ k.swapaxes(2, 3) * scale
    visible = np.tri(T, S, S - T, dtype=bool)
    masked = np.where(visible, scores, -np.inf)
    probs = _softmax(masked, axis=-1)
    y = probs @ v
    return y, probs


def _softmax(scores, axis):
    """Return the softmax over an axis."""
    shifted = scores - scores.max(axis=axis, keepdims=True)
    exp = np.exp(shifted)
    return exp / exp.sum(axis=axis, keepdims=True)
