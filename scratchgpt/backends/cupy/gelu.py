"""Both forms of GELU, each direction in one kernel."""

from typing import NamedTuple

import cupy

from scratchgpt.backends.cupy.kernels import blocks_for, contiguous, launch, size
from scratchgpt.shapes import AnyShape, Array

THREADS = 256


class Saved(NamedTuple):
    """What backward needs: the input, from which the slope is computed again."""

    x: AnyShape


class Gelu:
    """The pair of one form; `name` is "gelu_tanh" or "gelu_exact"."""

    def __init__(self, name: str) -> None:
        self._name = name

    def forward(self, x: AnyShape) -> tuple[AnyShape, Saved]:
        """Let large inputs pass and small ones fade."""
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
        grid = (blocks_for(x.nbytes, 16 * THREADS),)
        launch("gelu.cu", f"{self._name}_{direction}", x.dtype, grid, (THREADS,), (*arrays, size(x.size)))
