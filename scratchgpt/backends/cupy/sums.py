"""Deterministic sums: their order depends on the shapes alone."""

import cupy

from scratchgpt.backends.cupy.kernels import accumulator, blocks_for, contiguous, index, launch
from scratchgpt.shapes import Array

MAX_PARTIALS = 64  # partial sums of a column: enough blocks to keep a large GPU busy


def n_partials(n_rows: int) -> int:
    """Return how many partial sums the rows of a matrix are split into, each of 64 rows or more."""
    return min(MAX_PARTIALS, blocks_for(n_rows, 64))


def sum_partials(partials: Array) -> Array:
    """Return the column sums (C,) of partial sums (n, C), adding row by row."""
    n, C = partials.shape
    total = cupy.empty(C, dtype=partials.dtype)
    grid = (blocks_for(C, 128),)
    launch("sums.cu", "sum_partials", partials.dtype, grid, (128,), (partials, total, index(n), index(C)))
    return total


def column_sums(x: Array) -> Array:
    """Return the column sums (C,) of a matrix (N, C), in float32 or wider."""
    x = contiguous(x)
    N, C = x.shape
    partials = cupy.empty((n_partials(N), C), dtype=accumulator(x.dtype))
    grid = (blocks_for(C, 32), len(partials))
    launch("sums.cu", "column_partials", x.dtype, grid, (32, 8), (x, partials, index(N), index(C)))
    return sum_partials(partials)


def total(x: Array) -> Array:
    """Return the sum of a vector (N,) as an array of rank 0."""
    result = cupy.empty((), dtype=x.dtype)
    launch("sums.cu", "sum_vector", x.dtype, (1,), (1024,), (x, result, index(x.size)))
    return result
