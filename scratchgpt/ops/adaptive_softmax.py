"""Adaptive softmax: frequent tokens in a small head, the rest in clusters ("tails") computed only if needed.

With cutoffs c_0 < c_1 < ... < c_k = V, the head holds tokens [0, c_0) and one extra entry per tail, and
tail i holds tokens [c_{i-1}, c_i):

    log p(w | x) = log p_head(w | x)                                 for a token w of the head
    log p(w | x) = log p_head(c_0 + i - 1 | x) + log p_i(w | x)      for a token w of tail i = 1, ..., k

    p_head = softmax(x W_headᵀ)        p_i = softmax((x P_i) W_iᵀ)

The loss is therefore a sum of cross-entropies: the head's over all rows, where a token of tail i counts as
entry c_0 + i - 1, plus tail i's over the rows whose target lies in that tail. Each is divided by the number
of targets in the whole batch. These are calls of `linear` (P_i) and `linear_cross_entropy` (W_head, W_i),
and the gradient is the sum of theirs. This module defines the rest: which rows belong to which tail
(`assign`), gathering a tail's rows of x and scattering their gradients back (the pair `forward`,
`backward`), and log p of the whole vocabulary (`log_probs`).

Token ids are not reordered, so frequent tokens should have small ids. Byte pair encoding roughly ensures
that, because it merges frequent pairs first. With any other order the probabilities still sum to 1; only
the speedup is lost. Source: Grave et al., "Efficient softmax approximation for GPUs" (2017),
https://arxiv.org/abs/1609.04309, section 4.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple

import numpy as np

from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import AnyC, AnyM, AnyShape, AnyV, Array

Rows = Annotated[Array, "N"]
NC = Annotated[Array, "N C"]


class Saved(NamedTuple):
    """What backward needs: which rows were gathered; x only for its shape."""

    x: AnyC
    rows: Rows


def forward(x: AnyC, rows: Rows) -> tuple[NC, Saved]:
    """Gather rows of `x`: y_n = x[rows_n]. The rows are distinct, so backward never adds two gradients."""
    y: Array = x.reshape(-1, x.shape[-1])[rows]
    return y, Saved(x, rows)


def backward(saved: Saved, dy: NC) -> tuple[AnyC]:
    """Return dx: dy scattered back into the gathered rows, zero in all others."""
    x, rows = saved
    dx = np.zeros((x.size // x.shape[-1], x.shape[-1]), dtype=dy.dtype, like=dy)
    dx[rows] = dy
    return (dx.reshape(x.shape),)


class Tail(NamedTuple):
    """The rows whose target lies in one tail, and those targets, counted from the tail's first token."""

    rows: Rows
    targets: Rows


def assign(targets: AnyShape, cutoffs: Sequence[int]) -> tuple[AnyShape, list[Tail]]:
    """Return the head's target for every row, and the rows and targets of each tail.

    `targets` holds integers in [0, V) or `IGNORE_INDEX`; `cutoffs` are c_0, ..., c_k = V. No tail is empty:
    one without targets gets the first row with an ignored target, which adds nothing to the loss and zeros
    to every gradient. So no op has to handle empty arrays.
    """
    head_targets: Array = targets
    tails = []
    for i, (first, last) in enumerate(pairwise(cutoffs)):
        inside = (targets >= first) & (targets < last)
        head_targets = np.where(inside, cutoffs[0] + i, head_targets)
        rows: Array = np.flatnonzero(inside)
        tail = Tail(rows, targets.reshape(-1)[rows] - first)
        if rows.size == 0:
            rows = np.arange(1, like=targets)
            tail = Tail(rows, np.full_like(rows, IGNORE_INDEX))
        tails.append(tail)
    return head_targets, tails


def log_probs(head_logits: AnyM, tail_logits: Sequence[Array]) -> AnyV:
    """Return log p of the whole vocabulary, given the logits of the head (..., c_0 + k) and of each tail."""
    head = _log_softmax(head_logits)
    n_in_head = head.shape[-1] - len(tail_logits)  # c_0
    parts = [head[..., :n_in_head]]
    for i, logits in enumerate(tail_logits, start=n_in_head):
        parts.append(head[..., i : i + 1] + _log_softmax(logits))
    return np.concatenate(parts, axis=-1)


def _log_softmax(x: AnyM) -> AnyM:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
