"""A model bound to its weights and a backend: all that a pass needs except its input."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.nn.accumulation import GradientAccumulator, cut_batch
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.nn.inputs import check_targets, check_tokens
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops.rng import RowStreams
from scratchgpt.shapes import AnyV, Array, Tokens


@dataclass(frozen=True)
class BoundModel:
    """A model, its weights and the backend that runs it.

    Attributes:
        model: the structure.
        params: its weights, on the host or on the backend's device.
        backend: where to compute.

    Raises:
        InputError: the weights are not those of a model of this size.
    """

    model: GPT
    params: ParamVector
    backend: Backend

    def __post_init__(self) -> None:
        if self.params.size != self.model.size:
            raise InputError(f"params has {self.params.size} values; this model has {self.model.size}")

    @property
    def config(self) -> GPTConfig:
        """The configuration of the model."""
        return self.model.config

    def context(self) -> Context:
        """Return the context of a pass without gradients: weights on the device, in the compute dtype."""
        weights = self.params.map(self.backend.to_device).map(self.backend.to_compute)
        return Context(weights, NO_GRADS, self.backend.ops)

    @contextmanager
    def inference(self, tokens: Tokens) -> Iterator[tuple[Context, Tokens]]:
        """Yield the context for a pass without gradients, and the tokens (B, T), validated and on the device.

        Raises:
            InputError: tokens of the wrong shape, type or range.
        """
        tokens = check_tokens(tokens, self.config)
        with self.backend.active(parallel=False):
            yield self.context(), self.backend.to_device(tokens)

    def logits(self, tokens: Tokens) -> AnyV:
        """Return the logits (B, T, V) without dropout; see `passes.logits`."""
        with self.inference(tokens) as (ctx, x):
            return self.model.logits(ctx, x)

    def loss(self, tokens: Tokens, targets: Tokens, rng: np.random.Generator | None = None) -> float:
        """Return the mean cross-entropy in nats per target; see `passes.loss_and_grads`."""
        tokens = check_tokens(tokens, self.config)
        targets = check_targets(targets, tokens, self.config)
        parts, _ = self.run(tokens, targets, self.dropout_streams(rng, len(tokens)), with_grads=False)
        return sum(float(part) for part in parts)

    def loss_and_grads(
        self,
        tokens: Tokens,
        targets: Tokens,
        rng: np.random.Generator | None = None,
        accumulate: int = 1,
    ) -> tuple[float, ParamVector]:
        """Return the mean cross-entropy in nats per target and its gradient; see `passes.loss_and_grads`."""
        tokens = check_tokens(tokens, self.config)
        targets = check_targets(targets, tokens, self.config)
        streams = self.dropout_streams(rng, len(tokens))
        parts, grads = self.run(tokens, targets, streams, with_grads=True, accumulate=accumulate)
        assert grads is not None
        return sum(float(part) for part in parts), grads

    def dropout_streams(self, rng: np.random.Generator | None, n_rows: int) -> RowStreams | None:
        """Return the random streams of a batch's dropout masks; None without `rng` or without dropout."""
        return RowStreams.spawn(rng, n_rows) if rng is not None and self.config.dropout else None

    def run(
        self,
        tokens: Tokens,
        targets: Tokens,
        streams: RowStreams | None,
        *,
        with_grads: bool,
        accumulate: int = 1,
    ) -> tuple[list[Array], ParamVector | None]:
        """Run forward, and backward if asked, over the micro-batches of a batch, without checks.

        Nothing here waits for a device.

        Args:
            tokens: (B, T), on the host or on the device.
            targets: (B, T), in the same place.
            streams: draw the dropout masks; None means no dropout.
            with_grads: whether to run backward, too.
            accumulate: number of shares that the rows are split into, so that micro-batches are smaller
                (gradient accumulation). Each part of the loss is divided by the number of targets in the
                whole batch, so losses and gradients of the parts simply add up.

        Returns:
            The parts of the loss, one per micro-batch, and the gradient of their sum (None without
            `with_grads`), all on the device.
        """
        backend = self.backend
        params = self.params.map(backend.to_device)
        micro_batches = cut_batch(tokens.shape[0], tokens.shape[1], params.size, backend, accumulate)
        accumulator = None
        if with_grads:
            accumulator = GradientAccumulator(params, len(micro_batches), self.model.n_uses)
        weights = params.map(backend.to_compute)

        def run_micro_batch(index: int, rows: slice) -> Array:
            grads = accumulator.micro_batch(index) if accumulator else NO_GRADS
            ctx = Context(weights, grads, backend.ops, streams and streams[rows])
            x, y = backend.to_device(tokens[rows]), backend.to_device(targets[rows])
            part, saved = self.model.forward(ctx, x, y, n_targets)
            if ctx.needs_backward:
                self.model.backward(ctx, saved)
            return part

        with backend.active(parallel=True):
            n_targets = backend.count_targets(targets)
            parts = backend.map(lambda each: run_micro_batch(*each), enumerate(micro_batches))
            if accumulator is None:
                return parts, None
            total = accumulator.total()
            backend.unscale(total.flat)
        return parts, total
