"""Exercise 06 with (1 + tanh u)/2 as the logistic function of 2u, and erf vectorised."""

import math

import numpy as np

_ERF = np.vectorize(math.erf, otypes=[np.float64])


def exact_forward(x):
    cdf = ((1.0 + _ERF(x / math.sqrt(2.0))) / 2.0).astype(x.dtype)
    return x * cdf, {"x": x, "cdf": cdf}


def exact_backward(saved, dy):
    x = saved["x"]
    bell = np.exp(-np.square(x) / 2.0) / math.sqrt(2.0 * math.pi)
    return (dy * saved["cdf"] + dy * x * bell,)


def tanh_forward(x):
    v = 2.0 * math.sqrt(2.0 / math.pi) * (x + 0.044715 * np.power(x, 3))
    with np.errstate(over="ignore"):
        gate = 1.0 / (1.0 + np.exp(-v))
    return x * gate, (x, gate)


def tanh_backward(saved, dy):
    x, gate = saved
    dv = 2.0 * math.sqrt(2.0 / math.pi) * (1.0 + 0.134145 * np.square(x))
    return (dy * gate * (1.0 + x * (1.0 - gate) * dv),)
