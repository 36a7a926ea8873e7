"""Exercise 15 with a running mean, and the clip as a division."""

import math

import numpy as np


def clip(gradients, max_norm):
    norm = math.hypot(*(float(np.linalg.norm(g)) for g in gradients))
    by = max(1.0, norm / max_norm)
    return [g / by for g in gradients], norm


def accumulate(parts, counts):
    mean, seen = parts[0], counts[0]
    for gradients, count in zip(parts[1:], counts[1:], strict=True):
        seen += count
        mean = [old + (new - old) * (count / seen) for old, new in zip(mean, gradients, strict=True)]
    return mean


def gradient_of_step(parts, counts, max_norm):
    return clip(gradients=accumulate(parts, counts), max_norm=max_norm)


def learning_rate(step, *, peak, floor, warmup_steps, max_steps):
    if step + 1 <= warmup_steps:
        return (step + 1) * peak / warmup_steps
    step = min(step, max_steps)
    share = math.sin(math.pi / 2 * (max_steps - step) / (max_steps - warmup_steps)) ** 2
    return share * peak + (1 - share) * floor
