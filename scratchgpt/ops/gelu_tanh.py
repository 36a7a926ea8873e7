"""GELU in the tanh form that GPT-2 uses.

    y = x/2 · (1 + tanh u),   u = √(2/π) · (x + 0.044715 x³)

Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 2,
https://arxiv.org/abs/1606.08415. It approximates `gelu_exact`.
"""

import math
from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import AnyShape, Array

SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
CUBIC = 0.044715


class Saved(NamedTuple):
    """What backward needs: the input, and tanh u, which is expensive to recompute."""

    x: AnyShape
    tanh: AnyShape


def forward(x: AnyShape) -> tuple[AnyShape, Saved]:
    """Return y ≈ x · P(N(0,1) <= x): large inputs pass unchanged, very negative ones become 0."""
    tanh: Array = np.tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x))
    y = 0.5 * x * (1.0 + tanh)
    return y, Saved(x, tanh)


def backward(saved: Saved, dy: AnyShape) -> tuple[AnyShape]:
    """Return dx = dy ∘ [ (1 + tanh u)/2 + x/2 · (1 - tanh² u) · du/dx ]."""
    x, tanh = saved
    du_dx = SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x)
    slope = 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * du_dx
    return (dy * slope,)
