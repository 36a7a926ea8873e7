"""One pass through a model: logits, a loss, or a loss with its gradients."""

import numpy as np

from scratchgpt.backends import Backend, get_backend
from scratchgpt.config import GPTConfig
from scratchgpt.context import NO_GRADS, Context
from scratchgpt.errors import InputError
from scratchgpt.model import GPT
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.params import ParamVector
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
    tokens = check_tokens(tokens, model.config)
    ctx = Context(params.map(backend.to_device), NO_GRADS, backend.ops)
    with backend.active():
        result, _ = model.forward(ctx, backend.to_device(tokens))
    return result


def loss(
    model: GPT, params: ParamVector, tokens: Tokens, targets: Tokens, *, backend: Backend | None = None
) -> float:
    """Return the mean cross-entropy in nats per target, without dropout and without gradients."""
    backend = backend or get_backend()
    targets = check_targets(targets, tokens, model.config)
    scores = logits(model, params, tokens, backend=backend)
    with backend.active():
        value, _ = backend.ops.cross_entropy.forward(scores, backend.to_device(targets))
    return float(value)


def loss_and_grads(
    model: GPT,
    params: ParamVector,
    tokens: Tokens,
    targets: Tokens,
    *,
    backend: Backend | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[float, ParamVector]:
    """Run forward and backward once.

    Args:
        model: the structure.
        params: its weights.
        tokens: integers in [0, V) of shape (B, T), 1 <= T <= block_size.
        targets: the token that should follow at each place, shape (B, T); places that hold
            IGNORE_INDEX (-100) do not count.
        backend: where to compute; None means `get_backend("numpy")`.
        rng: draws the dropout masks; without it there is no dropout.

    Returns:
        The mean cross-entropy in nats per target that counts, and its gradient, a ParamVector of
        the layout of `params`.

    Raises:
        InputError: tokens or targets of a wrong shape, type or range, or no target that counts.
    """
    backend = backend or get_backend()
    tokens = check_tokens(tokens, model.config)
    targets = check_targets(targets, tokens, model.config)
    params = params.map(backend.to_device)
    ctx = Context(params, params.zeros_like(), backend.ops, rng)
    with backend.active():
        scores, saved = model.forward(ctx, backend.to_device(tokens))
        value, saved_loss = ctx.ops.cross_entropy.forward(scores, backend.to_device(targets))
        (dlogits,) = ctx.ops.cross_entropy.backward(saved_loss)
        model.backward(ctx, saved, dlogits)
    return float(value), ctx.grads


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
