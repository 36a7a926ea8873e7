"""Both forms of GELU, with one kernel for each direction."""

from typing import NamedTuple

import cupy

from scratchgpt.backends.cupy.kernels import blocks_for, contiguous, launch, size
from scratchgpt.shapes import AnyShape, Array

THREADS_PER_BLOCK = 256


class Saved(NamedTuple):
    """What backward needs: the input only; recomputing the slope is cheaper than storing it."""

    x: AnyShape


class Gelu:
    """The pair for one form; `name` is "gelu_tanh" or "gelu_exact"."""

    def __init__(self, name: str) -> None:
        self._name = name

    def forward(self, x: AnyShape) -> tuple[AnyShape, Saved]:
        """Return y = x · P(N(0,1) <= x), or GPT-2's approximation of it."""
        x = contiguous(x)
        y = cupy.empty_like(x)
        self._launch("forward", x, y)
        return y, Saved(x)

    def backward(self, saved: Saved, dy: AnyShape) -> tuple[AnyShape]:
        """Return dx = dy ∘ y'(x)."""
        dx = cupy.empty_like(saved.x)
        self._launch("backward", saved.x, contiguous(dy), dx)
        return (dx,)

    def _launch(self, direction: str, *arrays: Array) -> None:
        x = arrays[0]
        grid = (blocks_for(x.nbytes, 16 * THREADS_PER_BLOCK),)
        arguments = (*arrays, size(x.size))
        launch("gelu.cu", f"{self._name}_{direction}", x.dtype, grid, (THREADS_PER_BLOCK,), arguments)
