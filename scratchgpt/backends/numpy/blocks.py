"""Walk over arrays in blocks that stay in cache; vectors that sum by matrix product."""

import functools
from collections.abc import Iterator

import numpy as np

from scratchgpt.shapes import Array

BLOCK = 1 << 18  # elements: a chain of ufuncs over a few such blocks stays in the last-level cache


def blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield matching flat pieces of contiguous arrays of one size, as views."""
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, BLOCK):
        yield tuple(array[start : start + BLOCK] for array in flat)


def row_blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield matching groups of rows of arrays (N, ...), as views, of about BLOCK elements of the first."""
    n_rows, width = arrays[0].shape
    step = max(1, BLOCK // width)
    for start in range(0, n_rows, step):
        yield tuple(array[start : start + step] for array in arrays)


@functools.lru_cache(maxsize=64)
def filled(n: int, value: float, dtype: np.dtype) -> Array:
    """Return a read-only vector (n,) for sums and means as matrix products: `x @ filled(n, 1 / n, dtype)`."""
    vector = np.full(n, value, dtype)
    vector.flags.writeable = False
    return vector
