"""The embedding; its gradient sorts the positions by token and sums each token's rows in that order."""

import cupy
import numpy as np

from scratchgpt.backends.cupy.kernels import accumulator, blocks_for, contiguous, index, launch
from scratchgpt.ops.embedding import Saved
from scratchgpt.shapes import BTC, PC, VC, Tokens

KEYS_PER_TILE = 1024  # keys that one block sorts; TILE in embedding.cu
PLACES_PER_RUN = 32  # sorted positions that one block sums; RUN in embedding.cu


def forward(tokens: Tokens, wte: VC, wpe: PC) -> tuple[BTC, Saved]:
    """Look up each token's row and add the row of its position."""
    tokens = contiguous(tokens.astype(np.int32, copy=False))
    B, T = tokens.shape
    C = wte.shape[1]
    x = cupy.empty((B, T, C), dtype=wte.dtype)
    arguments = (tokens, contiguous(wte), contiguous(wpe), x, index(T), index(C))
    launch("embedding.cu", "embedding_forward", wte.dtype, (B * T,), (min(256, -(-C // 32) * 32),), arguments)
    return x, Saved(tokens, wte, wpe)


def backward(saved: Saved, dx: BTC) -> tuple[VC, PC]:
    """Return dwte and dwpe, in float32 or wider; sums have a deterministic order."""
    tokens, wte, wpe = saved
    dx = contiguous(dx)
    (B, T, C), N, acc = dx.shape, tokens.size, accumulator(dx.dtype)
    threads = (min(256, -(-C // 32) * 32),)

    keys, places = cupy.empty(N, dtype=np.uint64), cupy.empty(N, dtype=np.uint64)
    launch(
        "embedding.cu", "sort_tiles", dx.dtype, (blocks_for(N, KEYS_PER_TILE),), (KEYS_PER_TILE // 2,),
        (tokens, keys, index(N)),
    )  # fmt: skip
    launch("embedding.cu", "merge_tiles", dx.dtype, (blocks_for(N, 256),), (256,), (keys, places, index(N)))
    partials = cupy.empty((N, C), dtype=acc)
    dwte = cupy.zeros(wte.shape, dtype=acc)
    launch(
        "embedding.cu", "sum_runs", dx.dtype, (blocks_for(N, PLACES_PER_RUN),), threads,
        (places, dx, partials, index(N), index(C)),
    )  # fmt: skip
    launch(
        "embedding.cu", "sum_tokens", dx.dtype, (N,), threads, (places, partials, dwte, index(N), index(C))
    )

    dwpe = cupy.zeros(wpe.shape, dtype=acc)
    arguments = (dx, dwpe, index(B), index(T * C))
    launch("embedding.cu", "position_gradient", dx.dtype, (blocks_for(T * C, 128),), (128,), arguments)
    return dwte, dwpe
