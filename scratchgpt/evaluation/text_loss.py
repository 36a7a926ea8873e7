"""How well a text is predicted: the loss, and how often the likeliest token is the right one."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.data import Rows
from scratchgpt.nn.accumulation import cut_batch
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.nn.passes import check_params, check_targets, check_tokens, loss, weights_for_passes
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import BTC, Array, Tokens

CHUNK = 1 << 23  # logits at a time: 32 MiB in float32


class Score(NamedTuple):
    """How well a text is predicted.

    Attributes:
        loss: the mean over the targets that count, in nats.
        accuracy: the share of these targets that are the likeliest token, in [0, 1].
        n_targets: how many they are.
    """

    loss: float
    accuracy: float
    n_targets: int


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
    for x, y in batches(rows, batch_size, max_tokens):
        n_counted = int(np.count_nonzero(y != IGNORE_INDEX))
        total += n_counted * loss(model, params, x, y, backend=backend)
        n_targets += n_counted
    return total / n_targets


def score(
    model: GPT,
    params: ParamVector,
    rows: Rows,
    *,
    batch_size: int,
    backend: Backend,
    max_tokens: int | None = None,
) -> Score:
    """Return what `evaluate` does, and the accuracy beside it, in one pass; the arguments are the same."""
    total, n_right, n_targets = 0.0, 0, 0
    for x, y in batches(rows, batch_size, max_tokens):
        n_counted = int(np.count_nonzero(y != IGNORE_INDEX))
        mean, right = loss_and_right(model, params, x, y, backend)
        total += n_counted * mean
        n_right += right
        n_targets += n_counted
    return Score(total / n_targets, n_right / n_targets, n_targets)


def loss_and_right(
    model: GPT, params: ParamVector, tokens: Tokens, targets: Tokens, backend: Backend
) -> tuple[float, int]:
    """Return the mean loss of a batch (B, T), as `loss` does, and how many targets are the likeliest token.

    Raises:
        InputError: as `loss`.
    """
    check_params(params, model)
    tokens = check_tokens(tokens, model.config)
    targets = check_targets(targets, tokens, model.config)
    ctx = Context(weights_for_passes(params, backend), NO_GRADS, backend.ops)

    def run(rows: slice) -> tuple[Array, int]:
        """Return a micro-batch's part of the loss, and how many of its targets are right."""
        x, _ = model.features(ctx, backend.to_device(tokens[rows]))
        y = backend.to_device(targets[rows])
        part, _ = model.lm_head.forward(ctx, x, y, n_targets)
        return part, count_right(model, ctx, x, y)

    with backend.active(parallel=True):
        n_targets = backend.count_targets(targets)
        done = backend.map(run, cut_batch(len(tokens), tokens.shape[1], params.size, backend, accumulate=1))
    return sum(float(part) for part, _ in done), sum(right for _, right in done)


def count_right(model: GPT, ctx: Context, x: BTC, targets: Tokens) -> int:
    """Return how many targets are the likeliest token; of equally likely ones that is the first.

    The logits of a large vocabulary are larger than all else, so they are made a few places at a time. A
    target that does not count is no token, and so never right.
    """
    x, targets = x.reshape(1, -1, x.shape[-1]), targets.reshape(-1)
    step = max(1, CHUNK // model.config.vocab_size)
    right = 0
    for first in range(0, len(targets), step):
        logits = model.lm_head.logits(ctx, x[:, first : first + step])
        right += int((logits[0].argmax(axis=-1) == targets[first : first + step]).sum())
    return right


def batches(rows: Rows, batch_size: int, max_tokens: int | None) -> Iterator[tuple[Tokens, Tokens]]:
    """Yield the chosen rows with their targets, a batch at a time."""
    chosen = spread_evenly(rows, max_tokens)
    for first in range(0, len(chosen), batch_size):
        yield rows.batch(chosen[first : first + batch_size])


def spread_evenly(rows: Rows, max_tokens: int | None) -> Array:
    """Return the indices of as many full rows as hold `max_tokens`, at least one; None means all rows."""
    n_full = rows.n_tokens // rows.block_size
    if max_tokens is None or max_tokens >= rows.n_tokens or n_full == 0:
        return np.arange(len(rows))
    n_chosen = max(1, min(n_full, max_tokens // rows.block_size))
    return np.linspace(0, n_full - 1, n_chosen).astype(int)
