"""The answer to exercise 06: GELU in its two forms.

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
    cdf = 0.5 * erfc(-x / math.sqrt(2.0))
    return x * cdf, (x, cdf)


def exact_backward(saved, dy):
    """Return (dx,), the gradient with respect to x, given the upstream gradient dy of the same shape."""
    x, cdf = saved
    density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    slope = cdf + x * density
    return (slope * dy,)


def tanh_forward(x):
    """Return (y, saved) of the tanh form, for x of any shape; saved is whatever your backward needs."""
    t = np.tanh(ROOT * (x + CUBIC * x**3))
    return 0.5 * x * (1.0 + t), (x, t)


def tanh_backward(saved, dy):
    """Return (dx,), the gradient with respect to x, given the upstream gradient dy of the same shape."""
    x, t = saved
    du = ROOT * (1.0 + 3.0 * CUBIC * x * x)
    outer = 0.5 * x * (1.0 - t * t)
    return (dy * (0.5 * (1.0 + t) + outer * du),)
