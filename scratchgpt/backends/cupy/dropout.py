"""Dropout with exactly NumPy's masks, recomputed in backward instead of stored."""

from typing import Any, NamedTuple

import cupy
import numpy as np

from scratchgpt.backends.cupy.kernels import blocks_for, contiguous, index, launch, number, size
from scratchgpt.ops import dropout as reference
from scratchgpt.ops.rng import RowStreams, UniformSource
from scratchgpt.shapes import AnyShape, Array

NUMBERS_PER_THREAD = 8  # NUMBERS in philox.cuh


class Saved(NamedTuple):
    """What backward needs to draw the mask again: the streams' state, and how many numbers were drawn before.

    Without dropout the state is None. A mask that was drawn on the host is stored, as in the reference op.
    """

    state: Array | None
    drawn: int
    p: float
    host_mask: Array | None = None


def forward(x: AnyShape, p: float, rng: UniformSource | None) -> tuple[AnyShape, Saved]:
    """Drop each element with probability `p`; without `rng` or with p = 0, return `x` itself.

    The device draws from `RowStreams`; for any other source the host draws.
    """
    if rng is None or p == 0.0:
        return x, Saved(None, 0, p)
    if not isinstance(rng, RowStreams):
        mask = reference.draw_mask(x.shape, p, rng, like=x)
        return x * mask, Saved(None, 0, p, mask)
    saved = Saved(on_device(rng), rng.skip(x.size // len(x)), p)
    return _dropped(x, saved), saved


def backward(saved: Saved, dy: AnyShape) -> tuple[AnyShape]:
    """Return dx = dy ∘ mask, with the same mask as in forward, scale included."""
    if saved.host_mask is not None:
        return (dy * saved.host_mask,)
    return (dy if saved.state is None else _dropped(dy, saved),)


def on_device(streams: RowStreams) -> Array:
    """Return the state of the streams as a device array (rows, 6)."""
    return cupy.asarray(streams.state)


def attention_mask(shape: tuple[int, int, int, int], p: float, rng: UniformSource) -> Array:
    """Return the mask of attention's probabilities (B, H, T, S) as bits, with 32 keys in a 32-bit word."""
    B, H, T, S = shape
    n_words = blocks_for(S, 32)
    if not isinstance(rng, RowStreams):
        return _packed(rng.random(shape, dtype=np.float32) >= p)
    bits = cupy.empty((B, H, T, n_words), dtype=np.uint32)
    launch(
        "dropout.cu", "attention_mask", np.float32, (blocks_for(H * T * n_words, 128), B), (128,),
        (bits, on_device(rng), size(rng.skip(H * T * S)), index(H), index(T), index(S), index(n_words),
         number(p)),
    )  # fmt: skip
    return bits


def _dropped(x: Array, saved: Saved) -> Array:
    x = contiguous(x)
    y = cupy.empty_like(x)
    n_rows, row_size = len(x), x.size // len(x)
    grid = (blocks_for(row_size + saved.drawn % NUMBERS_PER_THREAD, 128 * NUMBERS_PER_THREAD), n_rows)
    arguments = (x, y, saved.state, size(saved.drawn), size(row_size), number(saved.p))
    launch("dropout.cu", "dropout", x.dtype, grid, (128,), arguments)
    return y


def _packed(keep: Any) -> Array:
    """Pack booleans from the host into bits on the device, 32 to a word along the last axis."""
    padded = np.zeros((*keep.shape[:-1], blocks_for(keep.shape[-1], 32) * 32), dtype=bool)
    padded[..., : keep.shape[-1]] = keep
    return cupy.asarray(np.packbits(padded, axis=-1, bitorder="little").view(np.uint32))
