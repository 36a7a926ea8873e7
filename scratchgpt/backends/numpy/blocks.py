"""Walk over arrays in blocks that stay in cache."""

from collections.abc import Iterator

from scratchgpt.shapes import Array

BLOCK = 1 << 18  # elements: a chain of ufuncs over a few such blocks stays in the last-level cache


def blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield matching pieces of contiguous arrays of one size: flat views, or the arrays if they are small."""
    if arrays[0].size <= BLOCK:
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, BLOCK):
        yield tuple(array[start : start + BLOCK] for array in flat)
