"""Constant arrays, with which sums and means become matrix products."""

import functools

import numpy as np

from scratchgpt.shapes import Array


@functools.lru_cache(maxsize=64)
def filled(shape: tuple[int, ...], value: float, dtype: np.dtype) -> Array:
    """Return a cached read-only array; `filled((n,), 1.0, dtype) @ x` is the sum over the rows of x."""
    array = np.full(shape, value, dtype)
    array.flags.writeable = False
    return array
