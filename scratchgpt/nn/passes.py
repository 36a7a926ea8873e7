"""One pass through a model: logits, a loss, or a loss with its gradients."""

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from scratchgpt.backends import Backend, get_backend
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.nn.accumulation import GradientAccumulator, cut_batch
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.rng import RowStreams
from scratchgpt.shapes import AnyV, Array, Tokens


def logits(model: GPT, params: ParamVector, tokens: Tokens, *, backend: Backend | None = None) -> AnyV:
    """Return the logits (B, T, V), without dropout.

    Args:
        model: the structure.
        params: its weights.
        tokens: integers in [0, V) of shape (B, T), 1 <= T <= block_size.
        backend: where to compute; None means `get_backend("numpy")`.

    Raises:
        InputError: tokens of a wrong shape, type or range.
    """
    backend = backend or get_backend()
    check_params(params, model)
    tokens = check_tokens(tokens, model.config)
    ctx = Context(weights_for_passes(params, backend), NO_GRADS, backend.ops)
    with backend.active(parallel=False):
        return model.logits(ctx, backend.to_device(tokens))


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
    value, _ = _run(model, params, tokens, targets, backend, rng, with_grads=False)
    return value


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
        targets: the token that should follow at each place, shape (B, T); places that hold
            IGNORE_INDEX (-100) do not count.
        backend: where to compute; None means `get_backend("numpy")`.
        rng: starts the dropout masks; without it there is no dropout.
        accumulate: cut the batch into so many groups of rows, one after the other, to save memory.

    Returns:
        The mean cross-entropy in nats per target that counts, and its gradient, a ParamVector of
        the layout of `params`.

    Raises:
        InputError: tokens or targets of a wrong shape, type or range, or no target that counts, or
            `accumulate` less than 1.
    """
    value, grads = _run(model, params, tokens, targets, backend, rng, with_grads=True, accumulate=accumulate)
    assert grads is not None
    return value, grads


def _run(
    model: GPT,
    params: ParamVector,
    tokens: Tokens,
    targets: Tokens,
    backend: Backend | None,
    rng: np.random.Generator | None,
    with_grads: bool,
    accumulate: int = 1,
) -> tuple[float, ParamVector | None]:
    """Check the inputs and run the passes."""
    backend = backend or get_backend()
    check_params(params, model)
    tokens = check_tokens(tokens, model.config)
    targets = check_targets(targets, tokens, model.config)
    streams = dropout_streams(model, rng, len(tokens))
    parts, grads = run_passes(
        model, params, tokens, targets, streams, backend, with_grads=with_grads, accumulate=accumulate
    )
    return sum(float(part) for part in parts), grads


def run_passes(
    model: GPT,
    params: ParamVector,
    tokens: Tokens,
    targets: Tokens,
    streams: RowStreams | None,
    backend: Backend,
    *,
    with_grads: bool,
    accumulate: int = 1,
) -> tuple[list[Array], ParamVector | None]:
    """Run the micro-batches of a batch; nothing is checked, and nobody waits for a device.

    Args:
        model: the structure.
        params: its weights.
        tokens: (B, T), on the host or where the backend computes.
        targets: (B, T), likewise.
        streams: draw the dropout masks; None means no dropout.
        backend: where to compute.
        with_grads: whether to go backward, too.
        accumulate: groups of rows that the batch is cut into. Each part of the loss is divided by the
            targets that count in the whole batch, so that losses and gradients simply add up.

    Returns:
        The parts of the loss, one for each micro-batch, and the gradient of their sum, both where the
        backend computes.
    """
    params = params.map(backend.to_device)
    micro_batches = cut_batch(tokens.shape[0], tokens.shape[1], params.size, backend, accumulate)
    accumulator = GradientAccumulator(params, len(micro_batches), model.n_uses) if with_grads else None
    weights = params.map(backend.to_compute)

    def run(index: int, rows: slice) -> Array:
        """Return a micro-batch's part of the loss, and add its part of the gradient."""
        grads = accumulator.micro_batch(index) if accumulator else NO_GRADS
        ctx = Context(weights, grads, backend.ops, streams and streams[rows])
        x, y = backend.to_device(tokens[rows]), backend.to_device(targets[rows])
        part, saved = model.forward(ctx, x, y, n_targets)
        if ctx.needs_backward:
            model.backward(ctx, saved)
        return part

    with backend.active(parallel=True):
        n_targets = backend.count_targets(targets)
        parts = backend.map(lambda each: run(*each), enumerate(micro_batches))
        if accumulator is None:
            return parts, None
        total = accumulator.total()
        backend.unscale(total.flat)
    return parts, total


def dropout_streams(model: GPT, rng: np.random.Generator | None, n_rows: int) -> RowStreams | None:
    """Return what the dropout masks of a batch are drawn from; None if the model has no dropout."""
    return RowStreams.spawn(rng, n_rows) if rng is not None and model.config.dropout else None


def weights_for_passes(params: ParamVector, backend: Backend) -> ParamVector:
    """Return the weights where the backend computes, in the type that it computes in."""
    return params.map(backend.to_device).map(backend.to_compute)


def quiet_overflow() -> AbstractContextManager[Any]:
    """Return a context without NumPy's warnings of overflow, for who looks at the results anyway."""
    return np.errstate(over="ignore", invalid="ignore")


def check_params(params: ParamVector, model: GPT) -> None:
    """See that the weights are those of a model of this size."""
    if params.size != model.size:
        raise InputError(f"params has {params.size} values; expected {model.size}, as this model has")


def check_tokens(tokens: Tokens, config: GPTConfig) -> Tokens:
    """Return tokens as an integer array (B, T), or say what is wrong with them."""
    tokens = _integers(tokens, "tokens")
    T = tokens.shape[1]
    if not 1 <= T <= config.block_size:
        raise InputError(f"tokens has {T} positions; expected 1 to block_size = {config.block_size}")
    _check_range(tokens, config.vocab_size, "token")
    return tokens


def check_targets(targets: Tokens, tokens: Tokens, config: GPTConfig) -> Tokens:
    """Return targets as an integer array of the shape of tokens, or say what is wrong with them."""
    targets = _integers(targets, "targets")
    if targets.shape != np.shape(tokens):
        raise InputError(f"targets has shape {targets.shape}; expected that of tokens, {np.shape(tokens)}")
    counted = targets != IGNORE_INDEX
    if not counted.any():
        raise InputError(
            f"all {targets.size} targets are {IGNORE_INDEX} (ignored); expected at least one other"
        )
    _check_range(np.where(counted, targets, 0), config.vocab_size, "target")
    return targets


def _integers(array: Array, name: str) -> Array:
    array = np.asarray(array)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise InputError(
            f"{name} has shape {array.shape} and type {array.dtype}; expected integers of shape (B, T)"
        )
    return array


def _check_range(ids: Array, vocab_size: int, name: str) -> None:
    outside = (ids < 0) | (ids >= vocab_size)
    if outside.any():
        b, t = np.argwhere(outside)[0]
        raise InputError(
            f"{name} at [{b}, {t}] is {ids[b, t]}; expected an id in [0, vocab_size = {vocab_size})"
        )
