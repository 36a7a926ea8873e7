"""Another right answer to exercise 10: forward saves one number per query, and backward recomputes P from it.

P = exp(scores - log Σ exp(scores)); and P is the quotient of e = exp(scores - m) and its sum, so the
quotient rule takes the place of the softmax's Jacobian.
"""

import numpy as np


def forward(q, k, v):
    """Save the logarithm of each row's sum."""
    scores = _scores(q, k)
    largest = scores.max(axis=-1, keepdims=True)
    total = largest + np.log(np.exp(scores - largest).sum(axis=-1, keepdims=True))
    return np.exp(scores - total) @ v, (q, k, v, total)


def backward(saved, dy):
    """Use the quotient rule on y = Σ e v / Σ e, with e scaled so that Σ e is 1."""
    q, k, v, total = saved
    e = np.exp(_scores(q, k) - total)
    numerator = e @ v
    denominator = e.sum(axis=-1, keepdims=True)  # 1, but for rounding
    dnumerator = dy / denominator
    ddenominator = -(dy * numerator).sum(axis=-1, keepdims=True) / denominator**2
    de = dnumerator @ np.swapaxes(v, -1, -2) + ddenominator
    dv = np.swapaxes(e, -1, -2) @ dnumerator
    dproducts = de * e / q.shape[-1] ** 0.5
    return dproducts @ k, np.swapaxes(dproducts, -1, -2) @ q, dv


def _scores(q, k):
    T, S = q.shape[-2], k.shape[-2]
    scores = (q / q.shape[-1] ** 0.5) @ np.swapaxes(k, -1, -2)
    hidden = np.arange(S) - (S - T) > np.arange(T)[:, None]
    return np.where(hidden, -np.inf, scores)
