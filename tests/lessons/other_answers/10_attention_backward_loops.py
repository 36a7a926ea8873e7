"""Another right answer to exercise 10: one query at a time, with the softmax's Jacobian as a matrix."""

import numpy as np


def forward(q, k, v):
    """Average over the visible keys, which a slice picks out."""
    B, H, T, _ = q.shape
    S = k.shape[2]
    y = np.empty_like(q, subok=False)
    for b, h, t in np.ndindex(B, H, T):
        n_visible = S - T + t + 1
        probs = _weights(q[b, h, t], k[b, h, :n_visible])
        y[b, h, t] = probs @ v[b, h, :n_visible]
    return y, (q, k, v)


def backward(saved, dy):
    """Compute the weights anew and add up what each query sends to the keys and values it saw."""
    q, k, v = saved
    B, H, T, D = q.shape
    S = k.shape[2]
    dq, dk, dv = (np.zeros(x.shape, x.dtype) for x in saved)
    for b, h, t in np.ndindex(B, H, T):
        n_visible = S - T + t + 1
        keys, values = k[b, h, :n_visible], v[b, h, :n_visible]
        probs = _weights(q[b, h, t], keys)
        jacobian = np.diag(probs) - np.outer(probs, probs)
        dscores = jacobian @ (values @ dy[b, h, t]) / D**0.5
        dq[b, h, t] = dscores @ keys
        dk[b, h, :n_visible] += np.outer(dscores, q[b, h, t])
        dv[b, h, :n_visible] += np.outer(probs, dy[b, h, t])
    return dq, dk, dv


def _weights(query, keys):
    scores = keys @ query / len(query) ** 0.5
    exp = np.exp(scores - scores.max())
    return exp / exp.sum()
