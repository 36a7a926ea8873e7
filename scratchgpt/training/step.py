"""One training step: forward, backward, gradient clipping, optimizer."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.inputs import check_targets, check_tokens
from scratchgpt.nn.model import GPT
from scratchgpt.ops.rng import RowStreams
from scratchgpt.optim import Optimizer
from scratchgpt.shapes import Array, Tokens
from scratchgpt.training.diagnosis import first_not_finite

MAX_UNREAD = 128  # steps whose batches are kept so that a NaN can still be traced to its layer


class StepResult(NamedTuple):
    """The outcome of a step.

    Attributes:
        lr: learning rate.
        loss: mean loss in nats per token.
        grad_norm: gradient norm before clipping; None if the gradient overflowed float16, in which case the
            step changed nothing.
        why_not_finite: if loss or norm is NaN or inf, a function that finds the layer that caused it, to be
            called before the next step; else None.
    """

    lr: float
    loss: float
    grad_norm: float | None
    why_not_finite: Callable[[], str] | None = None


class TrainingStep:
    """Takes steps without waiting for the device; `read` returns their losses later.

    Args:
        model: the structure.
        optimizer: holds the weights and moments, which it updates in place.
        grad_clip: the largest global gradient norm; None means no clipping.
        accumulate: gradient accumulation: number of parts a batch is split into, to save memory.
    """

    def __init__(
        self, model: GPT, optimizer: Optimizer, grad_clip: float | None, accumulate: int = 1
    ) -> None:
        self._bound = BoundModel(model, optimizer.params, optimizer.backend)
        self._accumulate = accumulate
        self._optimizer = optimizer
        self._max_norm = math.inf if grad_clip is None else grad_clip
        self._backend: Backend = optimizer.backend
        self._losses = self._backend.losses()
        # Learning rates and batches of the steps since the last `read`.
        self._unread: list[tuple[float, Tokens, Tokens, RowStreams | None]] = []
        self._read: list[StepResult] = []  # read early because the buffer of losses was full
        self._on_device = self._backend.capture_step(self._step)

    def __call__(self, tokens: Tokens, targets: Tokens, lr: float, rng: np.random.Generator) -> None:
        """Take a step on a batch (B, T); targets equal to IGNORE_INDEX do not count.

        If the gradient norm is not finite, no weight changes, and `read` reports it.

        Raises:
            InputError: see `loss_and_grads`.
        """
        if len(self._unread) == min(MAX_UNREAD, self._losses.capacity):
            self._read = self.read()
        tokens = check_tokens(tokens, self._bound.config)
        targets = check_targets(targets, tokens, self._bound.config)
        streams = self._bound.dropout_streams(rng, len(tokens))
        with self._backend.active(parallel=True):  # one BLAS thread each, for the gradient norm, too
            self._on_device(tokens, targets, streams, self._optimizer.next_scalars(lr))
        self._unread.append((lr, tokens, targets, streams))

    def read(self) -> list[StepResult]:
        """Return the outcomes of all steps since the last call, in order; wait for the device."""
        unread, self._unread = self._unread, []
        before, self._read = self._read, []
        losses = self._losses.read(len(unread))
        results = []
        for (lr, tokens, targets, streams), (loss, norm) in zip(unread, losses, strict=True):
            is_finite = math.isfinite(loss) and (norm is None or math.isfinite(norm))
            why = partial(first_not_finite, self._bound, tokens, targets, streams, self._accumulate)
            results.append(StepResult(lr, loss, norm, None if is_finite else why))
        return before + results

    def _step(self, tokens: Tokens, targets: Tokens, streams: RowStreams | None, scalars: Array) -> None:
        """Run the part of a step that happens on the device, which a GPU can capture as a graph."""
        parts, grads = self._bound.run(tokens, targets, streams, with_grads=True, accumulate=self._accumulate)
        assert grads is not None
        norm = self._backend.clip(grads.flat, self._max_norm)
        self._optimizer.apply(grads, scalars, norm)
        self._losses.append(parts, norm)
