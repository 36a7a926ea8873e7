"""GELU's tanh form in cache-sized blocks; forward also computes the slope, while its inputs are in cache."""

from typing import NamedTuple

import numpy as np

from scratchgpt.backends.numpy.blocks import blocks
from scratchgpt.ops.gelu_tanh import CUBIC, SQRT_2_OVER_PI
from scratchgpt.shapes import AnyShape


class Saved(NamedTuple):
    """What backward needs: the slope y'(x), instead of the reference op's x and tanh u."""

    slope: AnyShape


def forward(x: AnyShape) -> tuple[AnyShape, Saved]:
    """Compute y = x g with the gate g = (1 + tanh u)/2, and the slope y'(x).

    Because g' = 2 g (1 - g) u', the slope is g + y (1 - g) · 2u', with 2u' = √(2/π) (2 + 6 · 0.044715 x²).
    """
    x = np.ascontiguousarray(x)
    y, slope = np.empty_like(x), np.empty_like(x)
    for x_block, y_block, s in blocks(x, y, slope):
        np.multiply(x_block, x_block, out=s)
        gate = s * (CUBIC * SQRT_2_OVER_PI)
        gate += SQRT_2_OVER_PI
        gate *= x_block
        np.tanh(gate, out=gate)
        gate *= 0.5
        gate += 0.5
        np.multiply(x_block, gate, out=y_block)
        s *= 6.0 * CUBIC * SQRT_2_OVER_PI
        s += 2.0 * SQRT_2_OVER_PI
        s *= y_block
        y_gate = s * gate
        s -= y_gate
        s += gate
    return y, Saved(slope)


def backward(saved: Saved, dy: AnyShape) -> tuple[AnyShape]:
    """Return dx = dy ∘ slope."""
    return (dy * saved.slope,)
