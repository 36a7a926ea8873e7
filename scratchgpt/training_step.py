"""One step of training: loss, gradients, clipping, AdamW."""

import math
from typing import NamedTuple

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.model import GPT
from scratchgpt.optim import AdamW
from scratchgpt.passes import check_targets, check_tokens, dropout_streams, run_passes
from scratchgpt.rng import RowStreams
from scratchgpt.shapes import Array, Tokens


class Taken(NamedTuple):
    """What a step was: its learning rate, its loss in nats per token, the norm of its gradient.

    No norm means that the gradient left the range of float16, so that the step changed nothing.
    """

    lr: float
    loss: float
    grad_norm: float | None


class TrainingStep:
    """Takes steps without waiting for the device; `read` tells later what they were.

    Args:
        model: the structure.
        optimizer: holds the weights and moments, which change in place.
        grad_clip: the largest norm of all gradients together; None leaves them alone.
    """

    def __init__(self, model: GPT, optimizer: AdamW, grad_clip: float | None) -> None:
        self._model = model
        self._optimizer = optimizer
        self._max_norm = math.inf if grad_clip is None else grad_clip
        self._backend: Backend = optimizer.backend
        self._losses = self._backend.losses()
        self._rates: list[float] = []  # of the steps that nobody has read
        self._read: list[Taken] = []  # what had to be read before anybody asked
        self._on_device = self._backend.repeatable(self._step)

    def __call__(self, tokens: Tokens, targets: Tokens, lr: float, rng: np.random.Generator) -> None:
        """Take a step on a batch (B, T); targets of IGNORE_INDEX do not count.

        A step whose gradient is not finite changes nothing; `read` shows it.

        Raises:
            InputError: as `loss_and_grads`.
        """
        if len(self._rates) == self._losses.places:
            self._read = self.read()
        tokens = check_tokens(tokens, self._model.config)
        targets = check_targets(targets, tokens, self._model.config)
        streams = dropout_streams(self._model, rng, len(tokens))
        with self._backend.active(side_by_side=True):  # the norm, too, on one thread
            self._on_device(tokens, targets, streams, self._optimizer.next_scalars(lr))
        self._rates.append(lr)

    def read(self) -> list[Taken]:
        """Return every step since the last call, in their order."""
        rates, self._rates = self._rates, []
        before, self._read = self._read, []
        losses = self._losses.read(len(rates))
        return before + [Taken(lr, *each) for lr, each in zip(rates, losses, strict=True)]

    def _step(self, tokens: Tokens, targets: Tokens, streams: RowStreams | None, scalars: Array) -> None:
        """Do the work of a step where the backend computes."""
        parts, grads = run_passes(
            self._model, self._optimizer.params, tokens, targets, streams, self._backend, with_grads=True
        )
        assert grads is not None
        norm = self._backend.clip(grads.flat, self._max_norm)
        self._backend.adamw(self._optimizer.update(grads, scalars), norm)
        self._losses.append(parts, norm)
