"""Directions are rows of an identity matrix; the slope is the mean of forward and backward difference."""

import numpy as np


def numerical_gradient(f, x, h=1e-5):
    x = np.asarray(x, dtype=np.float64)
    here = f(x)
    directions = np.eye(x.size).reshape(-1, *x.shape)
    up = np.array([(f(x + h * direction) - here) / h for direction in directions])
    down = np.array([(here - f(x - h * direction)) / h for direction in directions])
    return (0.5 * (up + down)).reshape(x.shape)
