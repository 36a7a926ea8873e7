"""Derivatives by finite differences: slow, and right without trusting any formula.

Central differences, (f(x + h) - f(x - h)) / 2h, err by O(h²) from the curvature of f and by
O(ε/h) from rounding. In float64 the sum is least near h = 1e-5.
"""

from collections.abc import Callable

import numpy as np

from scratchgpt.shapes import AnyShape, Array

H = 1e-5


def numerical_gradient(f: Callable[[Array], float], x: AnyShape, h: float = H) -> AnyShape:
    """Return the derivative of the scalar `f(x)` by every element of `x`, one element at a time.

    `x` is float64 and is not changed; `f` is called 2 · x.size times with an array of its shape.
    """
    x = x.copy()
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        original = x[index]
        x[index] = original + h
        above = f(x)
        x[index] = original - h
        below = f(x)
        x[index] = original
        gradient[index] = (above - below) / (2.0 * h)
    return gradient


def directional_derivative(
    f: Callable[[Array], float], x: AnyShape, direction: AnyShape, h: float = H
) -> float:
    """Return the derivative of the scalar `f(x)` along `direction`, of the shape of `x`.

    It equals ⟨gradient, direction⟩, so two calls of `f` test a whole gradient at once.
    """
    return (f(x + h * direction) - f(x - h * direction)) / (2.0 * h)
