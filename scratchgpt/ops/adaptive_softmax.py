"""Adaptive softmax: frequent words first, the rest in clusters ("tails") that are computed only where needed.

With cutoffs c_0 < c_1 < ... < c_k = V the words [0, c_0) are the head's, the words [c_{i-1}, c_i) are
those of tail i, and the head has one more entry for each tail:

    log p(w | x) = log p_head(w | x)                                 for a word of the head
    log p(w | x) = log p_head(c_0 + i - 1 | x) + log p_i(w | x)      for a word of tail i = 1, ..., k

    p_head = softmax(x W_headᵀ)        p_i = softmax((x P_i) W_iᵀ)

So the loss is a sum of cross-entropies: one of the head over all rows, in which a word of tail i counts as
the entry c_0 + i - 1, and one of tail i over the rows whose target lies in it, each divided by the number of
targets of the whole batch. These are calls of `linear` (P_i) and `linear_cross_entropy` (W_head, W_i), and
the gradient is the sum of theirs. What is left to define is here: who takes part (`assign`), how the rows of
a tail leave x and their gradients come back (`forward`, `backward`), and all log p together (`log_probs`).

Words are not reordered: the more frequent a word, the smaller its id should be. The ids of a byte pair
encoding are roughly so, because frequent pairs are merged first. Where they are not, the probabilities still
add up to 1, and time is lost. Source: Grave et al., "Efficient softmax approximation for GPUs" (2017),
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
    """What backward needs: which rows were taken; x only for its shape."""

    x: AnyC
    rows: Rows


def forward(x: AnyC, rows: Rows) -> tuple[NC, Saved]:
    """Take some rows of `x`: y_n = x[rows_n], where no row is taken twice."""
    y: Array = x.reshape(-1, x.shape[-1])[rows]
    return y, Saved(x, rows)


def backward(saved: Saved, dy: NC) -> tuple[AnyC]:
    """Return dx: dy in the rows that were taken, zero in the others."""
    x, rows = saved
    dx = np.zeros((x.size // x.shape[-1], x.shape[-1]), dtype=dy.dtype, like=dy)
    dx[rows] = dy
    return (dx.reshape(x.shape),)


class Tail(NamedTuple):
    """The rows whose target is in a tail, and these targets, counted from the tail's first word."""

    rows: Rows
    targets: Rows


def assign(targets: AnyShape, cutoffs: Sequence[int]) -> tuple[AnyShape, list[Tail]]:
    """Return the head's target for every row, and the share of each tail.

    `targets` holds integers in [0, V) or `IGNORE_INDEX`; `cutoffs` are c_0, ..., c_k = V. No share is empty:
    a tail without targets gets the first row with a target that does not count, which adds nothing to
    the loss and zeros to every gradient.
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
    """Return log p of all words, from the logits of the head (..., c_0 + k) and of each tail (..., words)."""
    head = _log_softmax(head_logits)
    n_words = head.shape[-1] - len(tail_logits)
    parts = [head[..., :n_words]]
    for i, logits in enumerate(tail_logits, start=n_words):
        parts.append(head[..., i : i + 1] + _log_softmax(logits))
    return np.concatenate(parts, axis=-1)


def _log_softmax(x: AnyM) -> AnyM:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
