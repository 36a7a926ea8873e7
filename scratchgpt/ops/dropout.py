"""Inverted dropout: zero each element with probability p, scale the others by 1/(1-p).

The scaling preserves the mean, so evaluation simply skips dropout. Source: Srivastava et al.,
"Dropout" (2014), section 10 (the inverted form).
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.ops.rng import UniformSource
from scratchgpt.shapes import AnyShape, Array


class Saved(NamedTuple):
    """What backward needs: the mask, 0 or 1/(1-p) for each element; None if dropout was off."""

    mask: AnyShape | None


def forward(x: AnyShape, p: float, rng: UniformSource | None) -> tuple[AnyShape, Saved]:
    """Drop each element with probability `p`; without `rng` (evaluation) or with p = 0, return `x` itself.

    The random numbers are NumPy's whatever library `x` comes from, so every backend drops the same elements.
    """
    if rng is None or p == 0.0:
        return x, Saved(None)
    mask = draw_mask(x.shape, p, rng, like=x)
    return x * mask, Saved(mask)


def backward(saved: Saved, dy: AnyShape) -> tuple[AnyShape]:
    """Return dx = dy ∘ mask, with the same mask as in forward, scale included."""
    (mask,) = saved
    return (dy if mask is None else dy * mask,)


def draw_mask(shape: tuple[int, ...], p: float, rng: UniformSource, like: Array) -> Array:
    """Return a mask of `shape`: 0 with probability `p`, else 1/(1-p); its dtype and device are `like`'s."""
    keep: Array = rng.random(shape, dtype=np.float32) >= p
    mask: Array = np.asarray(keep.astype(like.dtype) / (1.0 - p), like=like)
    return mask
