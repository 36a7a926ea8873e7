"""Causal attention in blocks of queries that skip the masked triangle.

Scores are kept transposed, (S, T) per head, so that the sums over keys are matrix products with ones. Their
exponentials are never normalised: the division by their sum is done on y and dy, which are smaller.
"""

import math
from typing import NamedTuple

import numpy as np

from scratchgpt.backends.numpy.filled import filled
from scratchgpt.ops.dropout import draw_mask
from scratchgpt.rng import UniformSource
from scratchgpt.shapes import BHSD, BHTD, Array

QUERIES = 64  # per block


class Saved(NamedTuple):
    """What backward needs.

    `exponentials` and `totals`, by block of queries, are (B, H, seen, queries) and (B, H, queries, 1);
    `mask` is dropout's, (B, H, T, S).
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
    """Let every query average the values of its own and earlier positions, weighted by similarity."""
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    y = np.empty_like(q)
    mask = draw_mask((*q.shape[:3], S), p, rng, like=q) if rng is not None and p > 0.0 else None
    saved = Saved(q, k, v, y, [], [], mask)
    for first in range(0, T, QUERIES):
        last = min(first + QUERIES, T)
        seen = S - T + last  # keys that the block's last query sees
        scores = k[:, :, :seen] @ q[:, :, first:last].swapaxes(2, 3)  # (B, H, seen, queries)
        scores *= 1.0 / math.sqrt(D)
        n = last - first
        if n > 1:
            hidden = np.tri(n, n, -1, dtype=bool)  # [s, t]: key s of the diagonal square comes after query t
            np.copyto(scores[:, :, seen - n :], -math.inf, where=hidden)
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

    The sum of the softmax gradient, Σ_s probs ∘ dprobs, equals Σ_d dy ∘ y: each row of y is the same
    weighted sum. (Source: Dao et al., "FlashAttention" (2022), appendix B.2.)
    """
    q, k, v, y, all_exponentials, totals, mask = saved
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    dq = np.empty_like(q)
    dk, dv = np.zeros(k.shape, k.dtype), np.zeros(v.shape, v.dtype)
    for i, first in enumerate(range(0, T, QUERIES)):
        last = min(first + QUERIES, T)
        seen = S - T + last
        exponentials = all_exponentials[i]
        dy_block = dy[:, :, first:last] / totals[i]  # with it, exponentials stand for probabilities
        dscores = v[:, :, :seen] @ dy_block.swapaxes(2, 3)  # (B, H, seen, queries)
        dropped = exponentials
        if mask is not None:
            block_mask = _transposed(mask, first, last, seen)
            dropped = exponentials * block_mask
            dscores *= block_mask
        dv[:, :, :seen] += dropped @ dy_block
        dscores -= np.vecdot(dy_block, y[:, :, first:last])[:, :, None]
        dscores *= exponentials
        dscores *= 1.0 / math.sqrt(D)
        np.matmul(dscores.swapaxes(2, 3), k[:, :, :seen], out=dq[:, :, first:last])
        dk[:, :, :seen] += dscores @ q[:, :, first:last]
    return dq, dk, dv


def _max_over_keys(scores: Array) -> Array:
    """Return the largest score of every query, (B, H, 1, queries); whole halves compare faster than rows."""
    while scores.shape[2] % 2 == 0 and scores.shape[2] > 64:
        half = scores.shape[2] // 2
        scores = np.maximum(scores[:, :, :half], scores[:, :, half:])
    return np.maximum.reduce(scores, axis=2, keepdims=True)


def _transposed(mask: Array, first: int, last: int, seen: int) -> Array:
    """Return dropout's mask of a block of queries, transposed as the scores are."""
    return mask[:, :, first:last, :seen].swapaxes(2, 3)
