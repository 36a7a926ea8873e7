"""The answer to exercise 15: clipping, accumulation, and the learning rate over time."""

import math

import numpy as np


def clip(gradients, max_norm):
    """Scale a list of arrays together, so that their joint norm is at most max_norm.

    The joint norm is the root of the sum of the squares of all numbers in all arrays. Gradients that are
    small enough stay as they are. Returns (clipped, norm): a list of arrays, and the norm before clipping.
    """
    norm = math.sqrt(sum(float(np.sum(g * g)) for g in gradients))
    scale = min(1.0, max_norm / (norm + 1e-6))
    clipped = [g * scale for g in gradients]
    return clipped, norm


def accumulate(parts, counts):
    """Return the gradient of a large batch, as a list of arrays, from those of its micro-batches.

    parts[i] is the list of gradients of micro-batch i, each of the mean loss over the counts[i] targets of
    that micro-batch. What is returned belongs to the mean loss over all targets of all micro-batches.
    """
    n_targets = sum(counts)
    total = [np.zeros_like(g) for g in parts[0]]
    for gradients, count in zip(parts, counts, strict=True):
        share = count / n_targets
        total = [sum_so_far + share * g for sum_so_far, g in zip(total, gradients, strict=True)]
    return total


def gradient_of_step(parts, counts, max_norm):
    """Return (gradients, norm): what the optimizer gets from micro-batches, clipped, and the norm before."""
    gradients = accumulate(parts, counts)
    return clip(gradients, max_norm)


def learning_rate(step, *, peak, floor, warmup_steps, max_steps):
    """Return the learning rate of a step, counted from 0.

    It climbs in a straight line: peak / warmup_steps in step 0, peak in step warmup_steps - 1. From peak in
    step warmup_steps it falls along half a cosine to floor in step max_steps, and is floor from there on.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if step >= max_steps:
        return floor
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    return floor + (peak - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))
