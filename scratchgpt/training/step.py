"""One step of training: loss, gradients, clipping, the optimizer."""

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

MAX_UNREAD = 128  # steps whose batches are kept, in case that one of them was not finite


class Taken(NamedTuple):
    """What a step was: its learning rate, its loss in nats per token, the norm of its gradient.

    No norm means that the gradient left the range of float16, so that the step changed nothing. If loss or
    norm are not finite otherwise, `why_not_finite` looks for the layer; call it before the next step.
    """

    lr: float
    loss: float
    grad_norm: float | None
    why_not_finite: Callable[[], str] | None = None


class TrainingStep:
    """Takes steps without waiting for the device; `read` tells later what they were.

    Args:
        model: the structure.
        optimizer: holds the weights and moments, which change in place.
        grad_clip: the largest norm of all gradients together; None leaves them alone.
        accumulate: parts that a batch is cut into, one after the other, to save memory.
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
        # Rates and batches of the steps that nobody has read.
        self._unread: list[tuple[float, Tokens, Tokens, RowStreams | None]] = []
        self._read: list[Taken] = []  # what had to be read before anybody asked
        self._on_device = self._backend.capture_step(self._step)

    def __call__(self, tokens: Tokens, targets: Tokens, lr: float, rng: np.random.Generator) -> None:
        """Take a step on a batch (B, T); targets of IGNORE_INDEX do not count.

        A step whose gradient is not finite changes nothing; `read` shows it.

        Raises:
            InputError: as `loss_and_grads`.
        """
        if len(self._unread) == min(MAX_UNREAD, self._losses.capacity):
            self._read = self.read()
        tokens = check_tokens(tokens, self._bound.config)
        targets = check_targets(targets, tokens, self._bound.config)
        streams = self._bound.dropout_streams(rng, len(tokens))
        with self._backend.active(parallel=True):  # the norm, too, on one thread
            self._on_device(tokens, targets, streams, self._optimizer.next_scalars(lr))
        self._unread.append((lr, tokens, targets, streams))

    def read(self) -> list[Taken]:
        """Return every step since the last call, in their order."""
        unread, self._unread = self._unread, []
        before, self._read = self._read, []
        losses = self._losses.read(len(unread))
        taken = []
        for (lr, tokens, targets, streams), (loss, norm) in zip(unread, losses, strict=True):
            is_finite = math.isfinite(loss) and (norm is None or math.isfinite(norm))
            why = partial(first_not_finite, self._bound, tokens, targets, streams, self._accumulate)
            taken.append(Taken(lr, loss, norm, None if is_finite else why))
        return before + taken

    def _step(self, tokens: Tokens, targets: Tokens, streams: RowStreams | None, scalars: Array) -> None:
        """Do the work of a step where the backend computes."""
        parts, grads = self._bound.run(tokens, targets, streams, with_grads=True, accumulate=self._accumulate)
        assert grads is not None
        norm = self._backend.clip(grads.flat, self._max_norm)
        self._optimizer.apply(grads, scalars, norm)
        self._losses.append(parts, norm)
