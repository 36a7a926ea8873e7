"""Exercise 14 one number at a time."""

import math

import numpy as np


def step(w, g, m, v, t, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    new_w, new_m, new_v = np.empty_like(w), np.empty_like(w), np.empty_like(w)
    for i in np.ndindex(*w.shape):
        new_m[i] = betas[0] * m[i] + (1 - betas[0]) * g[i]
        new_v[i] = betas[1] * v[i] + (1 - betas[1]) * g[i] ** 2
        shrunk = w[i] * (1 - lr * weight_decay) if len(w.shape) > 1 else w[i]
        root = math.sqrt(new_v[i] / (1 - betas[1] ** t))
        new_w[i] = shrunk - lr * new_m[i] / (1 - betas[0] ** t) / (root + eps)
    return new_w, new_m, new_v


def update(weights, gradients, state, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    state = state or {"t": 0, "moments": [(0 * w, 0 * w) for w in weights]}
    t, moments, result = state["t"] + 1, [], []
    for w, g, (m, v) in zip(weights, gradients, state["moments"], strict=True):
        new_w, *new_moments = step(w, g, m, v, t, lr, betas, eps, weight_decay)
        result.append(new_w)
        moments.append(new_moments)
    return result, {"t": t, "moments": moments}
