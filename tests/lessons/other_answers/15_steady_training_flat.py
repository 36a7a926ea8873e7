"""Exercise 15 on one long vector."""

import numpy as np


def clip(gradients, max_norm):
    flat = np.concatenate([g.ravel() for g in gradients])
    norm = float(np.linalg.norm(flat))
    flat = flat * min(max_norm / max(norm, 1e-12), 1)
    return _cut(flat, gradients), norm


def _cut(flat, like):
    ends = np.cumsum([g.size for g in like])[:-1]
    return [part.reshape(g.shape) for part, g in zip(np.split(flat, ends), like, strict=True)]


def accumulate(parts, counts):
    rows = np.stack([np.concatenate([g.ravel() for g in part]) for part in parts])
    return _cut(np.average(rows, axis=0, weights=counts).astype(rows.dtype), parts[0])


def gradient_of_step(parts, counts, max_norm):
    total = accumulate(parts, counts)
    return clip(total, max_norm)


def learning_rate(step, *, peak, floor, warmup_steps, max_steps):
    places = [-1, warmup_steps - 1] if warmup_steps else [-1, 0]
    warm = np.interp(step, places, [0.0, peak])
    progress = np.clip((step - warmup_steps) / (max_steps - warmup_steps), 0.0, 1.0)
    cold = floor + (peak - floor) * np.cos(np.pi / 2 * progress) ** 2
    return float(warm if step < warmup_steps else cold)
