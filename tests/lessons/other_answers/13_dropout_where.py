"""Exercise 13 with np.where, and a mask that is a single number in evaluation."""

import numpy as np


def forward(x, p, rng):
    mask = np.asarray(1.0, dtype=x.dtype)
    if rng is not None and p > 0:
        mask = np.where(rng.random(x.shape) < p, 0.0, 1.0 / (1.0 - p)).astype(x.dtype)
    return mask * x, mask


def backward(saved, dy):
    return (np.multiply(saved, dy),)
