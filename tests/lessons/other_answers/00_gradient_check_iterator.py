"""Each entry is moved up by h, then down by 2h, then restored."""

import numpy as np


def numerical_gradient(f, x, h=1e-5):
    moved = np.array(x, dtype=float)
    values = []
    numbers = moved.reshape(-1)  # a view of the same numbers
    for i, kept in enumerate(numbers.copy()):
        numbers[i] += h
        value = f(moved)
        numbers[i] -= 2 * h
        values.append((value - f(moved)) / h / 2)
        numbers[i] = kept
    return np.reshape(values, moved.shape)
