"""How well a model predicts a text: its loss, and how often the most likely token is the correct one."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scratchgpt.data import Rows
from scratchgpt.nn.accumulation import cut_batch
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.context import Context
from scratchgpt.nn.inputs import check_targets, check_tokens
from scratchgpt.nn.model import GPT
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import BTC, Array, Tokens

MAX_LOGITS_AT_ONCE = 1 << 23  # 32 MiB in float32


class TextLoss(NamedTuple):
    """How well a text is predicted.

    Attributes:
        loss: mean cross-entropy over the targets that count, in nats.
        accuracy: share of these targets that are the model's most likely token, in [0, 1].
        n_targets: number of targets that count.
    """

    loss: float
    accuracy: float
    n_targets: int


def text_loss(bound: BoundModel, rows: Rows, *, batch_size: int, max_tokens: int | None = None) -> TextLoss:
    """Return loss and accuracy on a text, without dropout.

    Args:
        bound: the model, its weights and where to compute.
        rows: the text.
        batch_size: rows per pass; it changes the result by rounding only.
        max_tokens: evaluate on as many full rows as fit into this number of tokens, at least one, spread
            evenly over the text; None means all rows.
    """
    total, n_correct, n_targets = 0.0, 0, 0
    for x, y in _batches(rows, batch_size, max_tokens):
        n_counted = int(np.count_nonzero(y != IGNORE_INDEX))
        mean, correct = loss_and_n_correct(bound, x, y)
        total += n_counted * mean
        n_correct += correct
        n_targets += n_counted
    return TextLoss(total / n_targets, n_correct / n_targets, n_targets)


def loss_and_n_correct(bound: BoundModel, tokens: Tokens, targets: Tokens) -> tuple[float, int]:
    """Return the mean loss of a batch (B, T) in nats, and how many targets are the most likely token.

    Raises:
        InputError: tokens or targets of the wrong shape, type or range.
    """
    model, backend = bound.model, bound.backend
    tokens = check_tokens(tokens, bound.config)
    targets = check_targets(targets, tokens, bound.config)
    ctx = bound.context()

    def run(rows: slice) -> tuple[Array, int]:
        """Return a micro-batch's part of the loss, and how many of its targets are correct."""
        x, _ = model.features(ctx, backend.to_device(tokens[rows]))
        y = backend.to_device(targets[rows])
        part, _ = model.lm_head.forward(ctx, x, y, n_targets)
        return part, count_correct(model, ctx, x, y)

    with backend.active(parallel=True):
        n_targets = backend.count_targets(targets)
        micro_batches = cut_batch(len(tokens), tokens.shape[1], bound.params.size, backend, accumulate=1)
        done = backend.map(run, micro_batches)
    return sum(float(part) for part, _ in done), sum(correct for _, correct in done)


def count_correct(model: GPT, ctx: Context, x: BTC, targets: Tokens) -> int:
    """Return how many targets (B, T) are the most likely token after the features x (B, T, C).

    Among equally likely tokens the first counts. The logits of a large vocabulary would take more memory
    than everything else, so they are computed for a few positions at a time. IGNORE_INDEX is not a token,
    so a target that does not count is never correct.
    """
    x, targets = x.reshape(1, -1, x.shape[-1]), targets.reshape(-1)
    step = max(1, MAX_LOGITS_AT_ONCE // model.config.vocab_size)
    correct = 0
    for first in range(0, len(targets), step):
        logits = model.lm_head.logits(ctx, x[:, first : first + step])
        correct += int((logits[0].argmax(axis=-1) == targets[first : first + step]).sum())
    return correct


def _batches(rows: Rows, batch_size: int, max_tokens: int | None) -> Iterator[tuple[Tokens, Tokens]]:
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
