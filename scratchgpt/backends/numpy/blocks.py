"""Iterate over arrays in cache-sized blocks."""

from collections.abc import Iterator

from scratchgpt.shapes import Array

ELEMENTS_PER_BLOCK = 1 << 18  # a chain of ufuncs over a few blocks of this size stays in the last-level cache


def blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield matching blocks of contiguous arrays of equal size: flat views, or the whole arrays if small."""
    if arrays[0].size <= ELEMENTS_PER_BLOCK:
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, ELEMENTS_PER_BLOCK):
        yield tuple(array[start : start + ELEMENTS_PER_BLOCK] for array in flat)
