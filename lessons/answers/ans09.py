"""The answer to exercise 09: attention, forward.

    scores = q kᵀ / √D,  probs = softmax(scores, keys of the future masked),  y = probs v

Every head of every text works on its own. With more keys than queries (S > T) the queries are the last T of
the S positions, so query t sees the keys 0 to S - T + t.
"""

import numpy as np


def forward(q, k, v):
    """Let every query average the values of its own and of earlier positions, weighted by similarity.

    q has shape (B, H, T, D), k and v have shape (B, H, S, D), S ≥ T. The values may also have another width
    than q and k: the lesson hands over the identity matrix as values, to see the weights.
    Returns (y, probs): y of the shape of q but as wide as v, and the weights of the averages, (B, H, T, S).
    The weights of a query sum to 1, and those of keys it may not see are 0.
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
    """Return probabilities along an axis."""
    shifted = scores - scores.max(axis=axis, keepdims=True)
    exp = np.exp(shifted)
    return exp / exp.sum(axis=axis, keepdims=True)
