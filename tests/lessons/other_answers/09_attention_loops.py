"""Another right answer to exercise 09: one query at a time, over the keys that it may attend to."""

import math

import numpy as np


def forward(q, k, v):
    """Need no mask: a list of the visible keys is enough."""
    B, H, T, D = q.shape
    S = k.shape[2]
    y = np.zeros((B, H, T, v.shape[3]), q.dtype)
    probs = np.zeros((B, H, T, S), q.dtype)
    for b in range(B):
        for h in range(H):
            for t in range(T):
                visible = range(S - T + t + 1)
                scores = [
                    sum(q[b, h, t, d] * k[b, h, s, d] for d in range(D)) / math.sqrt(D) for s in visible
                ]
                weights = [math.exp(score - max(scores)) for score in scores]
                for s in visible:
                    probs[b, h, t, s] = weights[s] / sum(weights)
                    y[b, h, t] += probs[b, h, t, s] * v[b, h, s]
    return y, probs
