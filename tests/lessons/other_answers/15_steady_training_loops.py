"""Exercise 15 one number at a time."""

import math

import numpy as np


def clip(gradients, max_norm):
    total = 0.0
    for g in gradients:
        for number in g.flat:
            total += float(number) ** 2
    norm = total**0.5
    if norm <= max_norm:
        return list(gradients), norm
    return [np.asarray(g / norm * max_norm, dtype=g.dtype) for g in gradients], norm


def accumulate(parts, counts):
    result = []
    for place in range(len(parts[0])):
        g = np.zeros_like(parts[0][place])
        for i in range(len(parts)):
            g = g + parts[i][place] * counts[i]
        result.append(g / sum(counts))
    return result


def gradient_of_step(parts, counts, max_norm):
    return clip(accumulate(parts, counts), max_norm)


def learning_rate(step, *, peak, floor, warmup_steps, max_steps):
    if step < warmup_steps:
        return peak / warmup_steps * (step + 1)
    angle = min(1.0, (step - warmup_steps) / (max_steps - warmup_steps)) * math.pi
    return (peak + floor) / 2 + (peak - floor) / 2 * math.cos(angle)
