"""Causal attention tile by tile (FlashAttention): no array of scores, and no atomic additions in backward.

16-bit types use tensor cores (attention_mma.cu). Other types use ordinary cores (attention.cu), as does
float16 on GPUs below compute capability 8.0.
"""

import math
from typing import Any, NamedTuple

import cupy
import numpy as np

from scratchgpt.backends.cupy.dropout import attention_mask
from scratchgpt.backends.cupy.kernels import (
    HEAD_SIZES,
    accumulator,
    blocks_for,
    contiguous,
    index,
    launch,
    number,
    size,
)
from scratchgpt.errors import InputError
from scratchgpt.ops.rng import UniformSource
from scratchgpt.shapes import BHSD, BHTD, Array

THREADS_PER_BLOCK = 128  # THREADS in the kernel files


class Saved(NamedTuple):
    """What backward needs: the inputs, y, and what it takes to recompute the probabilities tile by tile.

    `lse` is the log-sum-exp of every query's scores, `bits` dropout's mask, or None.
    """

    q: BHTD
    k: BHSD
    v: BHSD
    y: Array  # (B, T, H, D), its layout in memory
    lse: Array  # (B, H, T)
    bits: Array | None
    p: float


class Attention:
    """The pair, for one GPU.

    Args:
        tensor_cores: whether the GPU has tensor cores that the kernels can use.
        shared_memory: bytes of shared memory that a block can have.
    """

    def __init__(self, tensor_cores: bool, shared_memory: int) -> None:
        self._tensor_cores = tensor_cores
        self._shared_memory = shared_memory

    def forward(
        self, q: BHTD, k: BHSD, v: BHSD, p: float = 0.0, rng: UniformSource | None = None
    ) -> tuple[BHTD, Saved]:
        """Average, for every query, the values at its own and earlier positions, weighted by similarity."""
        (B, H, T, D), S = q.shape, k.shape[2]
        q, k, v = _heads_without_gaps(q), _heads_without_gaps(k), _heads_without_gaps(v)
        if k.strides != v.strides:
            k, v = contiguous(k), contiguous(v)
        bits = attention_mask((B, H, T, S), p, rng) if rng is not None and p > 0.0 else None
        y = cupy.empty((B, T, H, D), dtype=q.dtype)
        lse = cupy.empty((B, H, T), dtype=accumulator(q.dtype))
        tile, block = self.tile(D, q.dtype), (THREADS_PER_BLOCK,)
        launch(
            tile.file, "attention_forward", q.dtype, (blocks_for(T, tile.queries), H, B), block,
            (q, k, v, bits, y, lse, *_strides(q), *_strides(k), *_numbers(q, S, bits, p)),
            defines=tile.defines, shared=tile.bytes_forward,
        )  # fmt: skip
        return y.transpose(0, 2, 1, 3), Saved(q, k, v, y, lse, bits, p)

    def backward(self, saved: Saved, dy: BHTD) -> tuple[BHTD, BHSD, BHSD]:
        """Return dq, dk, dv; if S = T they are views of one array (B, T, 3, H, D).

        The sum in the softmax gradient, Σ_s probs ∘ dprobs, equals Σ_d dy ∘ y, because a row of y is the sum
        of the rows of v weighted by probs. Source: Dao et al., "FlashAttention" (2022), appendix B.2.
        """
        q, k, v, y, lse, bits, p = saved
        (B, H, T, D), S = q.shape, k.shape[2]
        dy = contiguous(dy.transpose(0, 2, 1, 3))  # (B, T, H, D)
        delta, block = cupy.empty_like(lse), (THREADS_PER_BLOCK,)
        launch(
            "attention_delta.cu", "attention_delta", q.dtype, (blocks_for(B * T * H, 4),), block,
            (dy, y, delta, index(B * T * H), index(H), index(T), index(D)),
        )  # fmt: skip
        dq, dk, dv = _gradients(q, k)
        tile, numbers = self.tile(D, q.dtype), _numbers(q, S, bits, p)
        given = (q, k, v, bits, dy, lse, delta)
        options: dict[str, Any] = {"defines": tile.defines, "shared": tile.bytes_backward}
        launch(
            tile.file, "attention_backward_keys", q.dtype, (blocks_for(S, tile.keys), H, B), block,
            (*given, dk, dv, *_strides(q), *_strides(k), *_strides(dk), *numbers), **options,
        )  # fmt: skip
        launch(
            tile.file, "attention_backward_queries", q.dtype, (blocks_for(T, tile.queries), H, B), block,
            (*given, dq, *_strides(q), *_strides(k), *_strides(dq), *numbers), **options,
        )  # fmt: skip
        return dq, dk, dv

    def tile(self, D: int, dtype: Any) -> "Tile":
        """Return the tile for heads of `D` channels; its sizes must match the kernel files.

        Raises:
            InputError: the head is too large for the kernels, or its tile does not fit on this GPU.
        """
        if max(HEAD_SIZES) < D:
            raise InputError(
                f"a head has n_embd / n_head = {D} channels; GPU kernels support at most {max(HEAD_SIZES)}"
            )
        head = next(head for head in HEAD_SIZES if head >= D)
        itemsize = np.dtype(dtype).itemsize
        tiles = [_tensor_core_tile(head)] if itemsize == 2 and self._tensor_cores else []
        sizes = (64, 32) if head <= 64 and itemsize <= 4 else (32,)
        tiles += [_plain_tile(head, queries, max(4, itemsize)) for queries in sizes]
        for tile in tiles:
            if tile.bytes_backward <= self._shared_memory:
                return tile
        raise InputError(
            f"a head has n_embd / n_head = {D} channels; its attention tile in {np.dtype(dtype)} needs "
            f"{tiles[-1].bytes_backward} bytes of shared memory, but this GPU has {self._shared_memory}"
        )


class Tile(NamedTuple):
    """How a kernel file handles a head size: the rows that one block owns, and its shared memory in bytes."""

    file: str
    defines: dict[str, int]
    queries: int
    keys: int
    bytes_forward: int
    bytes_backward: int


def _tensor_core_tile(head: int) -> Tile:
    rows, columns, row = 64, 32 if head > 64 else 64, (head + 8) * 2
    forward, backward = (rows + 2 * columns) * row, (2 * rows + 2 * columns) * row
    return Tile("attention_mma.cu", {"HEAD": head}, rows, rows, forward, backward)


def _plain_tile(head: int, queries: int, itemsize: int) -> Tile:
    keys, row = 32, (head + 1) * itemsize
    scores = queries * (keys + 1) * itemsize
    forward, backward = (queries + 2 * keys) * row + scores, 2 * (queries + keys) * row + 2 * scores
    return Tile("attention.cu", {"HEAD": head, "QUERIES": queries}, queries, keys, forward, backward)


def _heads_without_gaps(x: Array) -> Array:
    """Return the array, or a copy if the channels of a head are not contiguous."""
    return x if x.strides[3] == x.itemsize else contiguous(x)


def _strides(x: Array) -> tuple[object, ...]:
    """Return the strides of batch rows, heads and positions, in elements."""
    return tuple(size(stride // x.itemsize) for stride in x.strides[:3])


def _numbers(q: Array, S: int, bits: Array | None, p: float) -> tuple[object, ...]:
    _, H, T, D = q.shape
    n_words = 0 if bits is None else bits.shape[3]
    return index(H), index(T), index(S), index(D), index(n_words), number(1.0 / math.sqrt(D)), number(p)


def _gradients(q: Array, k: Array) -> tuple[Array, Array, Array]:
    """Return empty dq, dk and dv; if S = T, as views of one array, just as `split_heads` makes q, k and v."""
    (B, H, T, D), S = q.shape, k.shape[2]
    if T == S:
        dq, dk, dv = cupy.empty((B, T, 3, H, D), dtype=q.dtype).transpose(2, 0, 3, 1, 4)
        return dq, dk, dv
    dk, dv = cupy.empty((2, B, S, H, D), dtype=q.dtype).transpose(0, 1, 3, 2, 4)
    return cupy.empty((B, T, H, D), dtype=q.dtype).transpose(0, 2, 1, 3), dk, dv
