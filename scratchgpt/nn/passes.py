"""Passes through a model as plain functions: logits, a loss, or a loss and its gradient."""

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from scratchgpt.backends import Backend, get_backend
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import AnyV, Tokens


def logits(model: GPT, params: ParamVector, tokens: Tokens, *, backend: Backend | None = None) -> AnyV:
    """Return the logits (B, T, V), without dropout.

    Args:
        model: the structure.
        params: its weights.
        tokens: integers in [0, V) of shape (B, T), 1 <= T <= block_size.
        backend: where to compute; None means `get_backend("numpy")`.

    Raises:
        InputError: tokens of the wrong shape, type or range.
    """
    return BoundModel(model, params, backend or get_backend()).logits(tokens)


def loss(
    model: GPT,
    params: ParamVector,
    tokens: Tokens,
    targets: Tokens,
    *,
    backend: Backend | None = None,
    rng: np.random.Generator | None = None,
) -> float:
    """Return the mean cross-entropy in nats per target; arguments and errors as for `loss_and_grads`."""
    return BoundModel(model, params, backend or get_backend()).loss(tokens, targets, rng)


def loss_and_grads(
    model: GPT,
    params: ParamVector,
    tokens: Tokens,
    targets: Tokens,
    *,
    backend: Backend | None = None,
    rng: np.random.Generator | None = None,
    accumulate: int = 1,
) -> tuple[float, ParamVector]:
    """Run forward and backward once.

    Args:
        model: the structure.
        params: its weights.
        tokens: integers in [0, V) of shape (B, T), 1 <= T <= block_size.
        targets: the token that should follow each token, shape (B, T); targets of IGNORE_INDEX (-100)
            do not count.
        backend: where to compute; None means `get_backend("numpy")`.
        rng: seeds the dropout masks; None means no dropout.
        accumulate: split the batch into this many shares of rows, so that micro-batches are smaller, to save
            memory (gradient accumulation).

    Returns:
        The mean cross-entropy in nats per target that counts, and its gradient, a ParamVector with the
        layout of `params`.

    Raises:
        InputError: tokens or targets of the wrong shape, type or range, no target that counts, or
            `accumulate` less than 1.
    """
    bound = BoundModel(model, params, backend or get_backend())
    return bound.loss_and_grads(tokens, targets, rng, accumulate)


def quiet_overflow() -> AbstractContextManager[Any]:
    """Silence NumPy's overflow warnings, for callers that check for NaN and infinity themselves."""
    return np.errstate(over="ignore", invalid="ignore")
