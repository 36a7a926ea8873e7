"""The loss on a text, each of its tokens predicted once."""

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.data import Rows
from scratchgpt.model import GPT
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.params import ParamVector
from scratchgpt.passes import loss
from scratchgpt.shapes import Array


def evaluate(
    model: GPT,
    params: ParamVector,
    rows: Rows,
    *,
    batch_size: int,
    backend: Backend,
    max_tokens: int | None = None,
) -> float:
    """Return the mean loss in nats over the targets of a text that count, without dropout.

    Args:
        model: the structure.
        params: its weights.
        rows: the text.
        batch_size: rows at once; the result does not depend on it but for rounding.
        backend: where to compute.
        max_tokens: take only as many full rows as fit, at least one, spread evenly; None means all rows.
    """
    total, n_targets = 0.0, 0
    chosen = spread_evenly(rows, max_tokens)
    for first in range(0, len(chosen), batch_size):
        x, y = rows.batch(chosen[first : first + batch_size])
        n_counted = int(np.count_nonzero(y != IGNORE_INDEX))
        total += n_counted * loss(model, params, x, y, backend=backend)
        n_targets += n_counted
    return total / n_targets


def spread_evenly(rows: Rows, max_tokens: int | None) -> Array:
    """Return the indices of as many full rows as hold `max_tokens`, at least one; None means all rows."""
    n_full = rows.n_tokens // rows.block_size
    if max_tokens is None or max_tokens >= rows.n_tokens or n_full == 0:
        return np.arange(len(rows))
    n_chosen = max(1, min(n_full, max_tokens // rows.block_size))
    return np.linspace(0, n_full - 1, n_chosen).astype(int)
