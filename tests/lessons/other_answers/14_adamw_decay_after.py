"""Exercise 14 with decay after the update, and the bias corrections folded into the learning rate."""

import numpy as np


def step(w, g, m, v, t, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    m = m + (1 - betas[0]) * (g - m)
    v = v + (1 - betas[1]) * (g**2 - v)
    root = np.sqrt(1 - betas[1] ** t)
    rate = float(lr * root / (1 - betas[0] ** t))
    w = w - rate * m / (np.sqrt(v) + float(eps * root))
    if w.ndim > 1:
        w = w * (1 - lr * weight_decay)
    return w, m, v


def update(weights, gradients, state, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    if state is None:
        state = [(w * 0, w * 0, 1) for w in weights]
    done = [
        step(w, g, m, v, t, lr, betas, eps, weight_decay)
        for w, g, (m, v, t) in zip(weights, gradients, state, strict=True)
    ]
    state = [(m, v, t + 1) for (_, m, v), (_, _, t) in zip(done, state, strict=True)]
    return [w for w, _, _ in done], state
