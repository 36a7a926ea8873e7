"""Causal attention in blocks of queries that skip the masked triangle.

Scores are kept transposed, (S, T) per head: the maximum over keys is then one over the leading axis,
which NumPy vectorises, and the sums over keys are matrix products with ones.
"""

import math
from typing import NamedTuple

import numpy as np

from scratchgpt.ops.dropout import draw_mask
from scratchgpt.rng import UniformSource
from scratchgpt.shapes import BHSD, BHTD, Array

QUERIES = 64  # per block


class Saved(NamedTuple):
    """What backward needs: inputs, output, transposed probabilities by block, dropout's mask (B, H, T, S)."""

    q: BHTD
    k: BHSD
    v: BHSD
    y: BHTD
    probs: list[Array]
    mask: Array | None


def forward(
    q: BHTD, k: BHSD, v: BHSD, p: float = 0.0, rng: UniformSource | None = None
) -> tuple[BHTD, Saved]:
    """Let every query average the values of its own and earlier positions, weighted by similarity."""
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    y = np.empty_like(q)
    mask = draw_mask((*q.shape[:3], S), p, rng, like=q) if rng is not None and p > 0.0 else None
    saved = Saved(q, k, v, y, [], mask)
    for first in range(0, T, QUERIES):
        last = min(first + QUERIES, T)
        seen = S - T + last  # keys that the block's last query sees
        probs = k[:, :, :seen] @ q[:, :, first:last].swapaxes(2, 3)  # (B, H, seen, queries)
        n = last - first
        hidden = np.tri(n, n, -1, dtype=bool)  # [s, t]: key s of the diagonal square comes after query t
        np.copyto(probs[:, :, seen - n :], -math.inf, where=hidden)
        probs -= probs.max(axis=2, keepdims=True)
        probs *= 1.0 / math.sqrt(D)
        np.exp(probs, out=probs)
        total = np.ones(seen, q.dtype) @ probs  # (B, H, queries)
        probs /= total[:, :, None]
        dropped = probs if mask is None else probs * mask[:, :, first:last, :seen].swapaxes(2, 3)
        np.matmul(dropped.swapaxes(2, 3), v[:, :, :seen], out=y[:, :, first:last])
        saved.probs.append(probs)
    return y, saved


def backward(saved: Saved, dy: BHTD) -> tuple[BHTD, BHSD, BHSD]:
    """Return dq, dk, dv.

    The sum of the softmax gradient, Σ_s probs ∘ dprobs, equals Σ_d dy ∘ y: each row of y is the same
    weighted sum. (Source: Dao et al., "FlashAttention" (2022), appendix B.2.)
    """
    q, k, v, y, all_probs, mask = saved
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    dq, dk, dv = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
    for i, first in enumerate(range(0, T, QUERIES)):
        last = min(first + QUERIES, T)
        seen = S - T + last
        probs, dy_block = all_probs[i], dy[:, :, first:last]
        dscores = v[:, :, :seen] @ dy_block.swapaxes(2, 3)  # dprobs, (B, H, seen, queries)
        dropped = probs
        if mask is not None:
            block_mask = mask[:, :, first:last, :seen].swapaxes(2, 3)
            dropped = probs * block_mask
            dscores *= block_mask
        dv[:, :, :seen] += dropped @ dy_block
        dscores -= np.vecdot(dy_block, y[:, :, first:last])[:, :, None]
        dscores *= probs
        dscores *= 1.0 / math.sqrt(D)
        np.matmul(dscores.swapaxes(2, 3), k[:, :, :seen], out=dq[:, :, first:last])
        dk[:, :, :seen] += dscores @ q[:, :, first:last]
    return dq, dk, dv
