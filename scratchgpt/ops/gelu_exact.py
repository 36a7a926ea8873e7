"""GELU in its exact form: y = x Φ(x), with Φ the cumulative distribution function of the standard normal.

Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 2,
https://arxiv.org/abs/1606.08415.
"""

import math
from typing import NamedTuple

import numpy as np

from scratchgpt.ops.erfc import erfc
from scratchgpt.shapes import AnyShape, Array


class Saved(NamedTuple):
    """What backward needs: the input, and Φ(x), which is expensive to recompute."""

    x: AnyShape
    cdf: AnyShape


def forward(x: AnyShape) -> tuple[AnyShape, Saved]:
    """Return y = x Φ(x): each input times the probability that a standard normal variable is below it."""
    cdf = 0.5 * erfc(x * -math.sqrt(0.5))
    return x * cdf, Saved(x, cdf)


def backward(saved: Saved, dy: AnyShape) -> tuple[AnyShape]:
    """Return dx = dy ∘ [ Φ(x) + x φ(x) ], with φ = Φ' the normal density."""
    x, cdf = saved
    density: Array = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return (dy * (cdf + x * density),)
