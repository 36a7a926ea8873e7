"""Checks of what a pass is given: tokens and targets."""

import numpy as np

from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import Array, Tokens


def check_tokens(tokens: Tokens, config: GPTConfig) -> Tokens:
    """Return the tokens as an integer array (B, T).

    Raises:
        InputError: not integers of shape (B, T), T outside [1, block_size], or an id outside [0, vocab_size).
    """
    tokens = _integers(tokens, "tokens")
    T = tokens.shape[1]
    if not 1 <= T <= config.block_size:
        raise InputError(f"tokens has {T} positions; expected 1 to block_size = {config.block_size}")
    _check_range(tokens, config.vocab_size, "token")
    return tokens


def check_targets(targets: Tokens, tokens: Tokens, config: GPTConfig) -> Tokens:
    """Return the targets as an integer array of the shape of `tokens`, (B, T).

    Raises:
        InputError: another shape or type, an id outside [0, vocab_size), or no target but IGNORE_INDEX.
    """
    targets = _integers(targets, "targets")
    if targets.shape != np.shape(tokens):
        raise InputError(
            f"targets has shape {targets.shape}; expected the shape of tokens, {np.shape(tokens)}"
        )
    counted = targets != IGNORE_INDEX
    if not counted.any():
        raise InputError(f"all {targets.size} targets are {IGNORE_INDEX} (ignored), so there is no loss")
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
