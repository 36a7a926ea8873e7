"""Causal attention in blocks of queries, each of which skips the keys that are masked for all its queries.

Scores are stored transposed, (S, T) per head, so that sums over keys are matrix products with ones. Their
exponentials are never normalized: y and dy, which are smaller, are divided by the sums instead.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from scratchgpt.backends.numpy.filled import filled
from scratchgpt.ops.dropout import draw_mask
from scratchgpt.ops.rng import UniformSource
from scratchgpt.shapes import BHSD, BHTD, Array

QUERIES_PER_BLOCK = 64


class Saved(NamedTuple):
    """What backward needs: the inputs, y for the softmax gradient, and the unnormalized probabilities.

    For each block of queries, `exponentials` holds an array (B, H, seen, queries) and `totals` their sums
    (B, H, queries, 1). `mask` is dropout's (B, H, T, S), or None.
    """

    q: BHTD
    k: BHSD
    v: BHSD
    y: BHTD
    exponentials: list[Array]
    totals: list[Array]
    mask: Array | None


def forward(
    q: BHTD, k: BHSD, v: BHSD, p: float = 0.0, rng: UniformSource | None = None
) -> tuple[BHTD, Saved]:
    """Average, for every query, the values at its own and earlier positions, weighted by similarity."""
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    y = np.empty_like(q)
    mask = draw_mask((*q.shape[:3], S), p, rng, like=q) if rng is not None and p > 0.0 else None
    saved = Saved(q, k, v, y, [], [], mask)
    for first in range(0, T, QUERIES_PER_BLOCK):
        last = min(first + QUERIES_PER_BLOCK, T)
        seen = S - T + last  # keys that the block's last query sees
        q_block = np.multiply(q[:, :, first:last], 1.0 / math.sqrt(D), order="C")
        scores = k[:, :, :seen] @ q_block.swapaxes(2, 3)  # (B, H, seen, queries)
        n = last - first
        if n > 1:
            np.copyto(scores[:, :, seen - n :], -math.inf, where=_hidden(n))
        scores -= _max_over_keys(scores)
        exponentials = np.exp(scores, out=scores)
        total = (filled((seen,), 1.0, q.dtype) @ exponentials)[..., None]  # (B, H, queries, 1)
        y_block = y[:, :, first:last]
        dropped = exponentials if mask is None else exponentials * _transposed(mask, first, last, seen)
        np.matmul(dropped.swapaxes(2, 3), v[:, :, :seen], out=y_block)
        y_block /= total
        saved.exponentials.append(exponentials)
        saved.totals.append(total)
    return y, saved


def backward(saved: Saved, dy: BHTD) -> tuple[BHTD, BHSD, BHSD]:
    """Return dq, dk, dv.

    The sum in the softmax gradient, Σ_s probs ∘ dprobs, equals Σ_d dy ∘ y, because a row of y is the sum of
    the rows of v weighted by probs. Source: Dao et al., "FlashAttention" (2022), appendix B.2.

    The last block of queries comes first: it sees every key, so it initializes dk and dv, and the others add.
    """
    q, k, v, y, all_exponentials, totals, mask = saved
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    dq, dk, dv = _empty_gradients(q, k)
    for first in reversed(range(0, T, QUERIES_PER_BLOCK)):
        last = min(first + QUERIES_PER_BLOCK, T)
        seen = S - T + last
        block = first // QUERIES_PER_BLOCK
        exponentials, total = all_exponentials[block], totals[block]
        # Dividing dy by the total has the effect of normalizing the exponentials.
        dy_block = np.divide(dy[:, :, first:last], total, order="C")
        scaled = dy_block * (1.0 / math.sqrt(D))
        dscores = v[:, :, :seen] @ scaled.swapaxes(2, 3)  # (B, H, seen, queries)
        dropped = exponentials
        if mask is not None:
            block_mask = _transposed(mask, first, last, seen)
            dropped = exponentials * block_mask
            dscores *= block_mask
        dscores -= np.vecdot(scaled, y[:, :, first:last])[:, :, None]
        dscores *= exponentials
        np.matmul(dscores.swapaxes(2, 3), k[:, :, :seen], out=dq[:, :, first:last])
        if last == T:
            np.matmul(dscores, q[:, :, first:last], out=dk)
            np.matmul(dropped, dy_block, out=dv)
        else:
            dk[:, :, :seen] += dscores @ q[:, :, first:last]
            dv[:, :, :seen] += dropped @ dy_block
    return dq, dk, dv


def _empty_gradients(q: BHTD, k: BHSD) -> tuple[BHTD, BHSD, BHSD]:
    """Return empty dq, dk and dv; if S = T, as views of one array, just as `split_heads` makes q, k and v."""
    B, H, T, D = q.shape
    if k.shape != q.shape:
        return np.empty_like(q), np.empty(k.shape, k.dtype), np.empty(k.shape, k.dtype)
    dq, dk, dv = np.empty((B, T, 3, H, D), q.dtype).transpose(2, 0, 3, 1, 4)
    return dq, dk, dv


@functools.lru_cache(maxsize=64)
def _hidden(n: int) -> Array:
    """Return a read-only boolean (n, n): entry (s, t) tells whether key s comes after query t."""
    hidden = np.tri(n, n, -1, dtype=bool)
    hidden.flags.writeable = False
    return hidden


def _max_over_keys(scores: Array) -> Array:
    """Return every query's largest score (B, H, 1, queries); comparing halves is faster than row by row."""
    while scores.shape[2] % 2 == 0 and scores.shape[2] > 64:
        half = scores.shape[2] // 2
        scores = np.maximum(scores[:, :, :half], scores[:, :, half:])
    return np.maximum.reduce(scores, axis=2, keepdims=True)


def _transposed(mask: Array, first: int, last: int, seen: int) -> Array:
    """Return dropout's mask of a block of queries, transposed like the scores."""
    return mask[:, :, first:last, :seen].swapaxes(2, 3)
