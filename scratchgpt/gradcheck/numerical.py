"""Derivatives by finite differences: slow, but they need no formula for the derivative.

Central differences, (f(x + h) - f(x - h)) / 2h, have an error of O(h²) from truncation (the third
derivative of f) and of O(ε/h) from rounding. In float64 their sum is smallest near h = 1e-5.
"""

from collections.abc import Callable

import numpy as np

from scratchgpt.shapes import AnyShape, Array

H = 1e-5


def numerical_gradient(f: Callable[[Array], float], x: AnyShape, h: float = H) -> AnyShape:
    """Return the derivative of the scalar `f(x)` with respect to every element of `x`, one at a time.

    `x` is float64 and is not modified; `f` is called 2 · x.size times, with an array of the same shape.
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
    """Return the derivative of the scalar `f(x)` along `direction`, an array of the shape of `x`.

    It equals ⟨gradient, direction⟩, so two calls of `f` test a whole gradient at once.
    """
    return (f(x + h * direction) - f(x - h * direction)) / (2.0 * h)
