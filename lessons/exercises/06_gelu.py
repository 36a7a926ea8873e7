"""Exercise 06: GELU in its two forms.

    exact:  y = x Φ(x),                Φ(x) = erfc(-x/√2) / 2, the cumulative normal distribution
    tanh:   y = x/2 · (1 + tanh u),    u = √(2/π) · (x + 0.044715 x³)

φ(x) = exp(-x²/2) / √(2π) is the derivative of Φ. NumPy has no erf, so use erfc(z) = 1 - erf(z).
"""

import math

import numpy as np

from scratchgpt.ops.erfc import erfc

ROOT = math.sqrt(2.0 / math.pi)
CUBIC = 0.044715


def exact_forward(x):
    """Return (y, saved) of the exact form, for x of any shape; saved is whatever your backward needs."""
    raise NotImplementedError  # your code goes here


def exact_backward(saved, dy):
    """Return (dx,), the gradient with respect to x, given the upstream gradient dy of the same shape."""
    raise NotImplementedError  # your code goes here


def tanh_forward(x):
    """Return (y, saved) of the tanh form, for x of any shape; saved is whatever your backward needs."""
    raise NotImplementedError  # your code goes here


def tanh_backward(saved, dy):
    """Return (dx,), the gradient with respect to x, given the upstream gradient dy of the same shape."""
    raise NotImplementedError  # your code goes here
