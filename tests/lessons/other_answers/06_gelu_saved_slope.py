"""Exercise 06 with the slope computed in forward and saved; backward only multiplies."""

import math

import numpy as np

from scratchgpt.ops.erfc import erfc


def exact_forward(x):
    cdf = 1.0 - 0.5 * erfc(x / math.sqrt(2.0))
    return x * cdf, cdf + x * np.exp(-0.5 * x**2) * (2.0 * math.pi) ** -0.5


def exact_backward(slope, dy):
    return (slope * dy,)


def tanh_forward(x):
    root = math.sqrt(2.0 / math.pi)
    t = np.tanh(root * x * (1.0 + 0.044715 * x**2))
    du = root + 0.134145 * root * x**2
    return 0.5 * (x + x * t), 0.5 + 0.5 * t + 0.5 * x * du / np.cosh(
        np.clip(root * x * (1.0 + 0.044715 * x**2), -80, 80)
    ) ** 2


def tanh_backward(slope, dy):
    return (slope * dy,)
