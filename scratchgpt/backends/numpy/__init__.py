"""The `numpy` backend, the default: NumPy on a CPU, with faster pairs in place of some reference ops."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from scratchgpt.backends import reference
from scratchgpt.backends.base import Backend, Item, Result, blas_threads, check_threads
from scratchgpt.backends.numpy import (
    adamw,
    attention,
    clip,
    embedding,
    gelu_tanh,
    layernorm,
    linear,
    linear_cross_entropy,
    split_heads,
)
from scratchgpt.backends.numpy.memory import keep_freed_memory
from scratchgpt.backends.numpy.row_ops import RowOps
from scratchgpt.backends.numpy.workers import Workers, micro_batches
from scratchgpt.config import GPTConfig
from scratchgpt.ops.updates.adamw import Update
from scratchgpt.shapes import Array
from scratchgpt.utils.cores import usable_cores

OPS = dataclasses.replace(
    reference.OPS,
    attention=attention,
    embedding=embedding,
    gelu_tanh=gelu_tanh,
    layernorm=layernorm,
    linear=linear,
    linear_cross_entropy=linear_cross_entropy,
    split_heads=split_heads,
)


class NumpyBackend(Backend):
    """Runs micro-batches on several threads, with single-threaded BLAS in each."""

    def __init__(self, threads: int) -> None:
        super().__init__("numpy", OPS, threads)
        self.workers = Workers(threads)
        keep_freed_memory()

    def active(self, parallel: bool) -> AbstractContextManager[Any]:
        """Return a context in which BLAS uses one thread if micro-batches run in parallel, else all."""
        return blas_threads(1 if parallel else self.workers.threads)

    def micro_batches(self, n_rows: int, n_time: int, n_params: int) -> list[slice]:
        """Return the micro-batches, which depend only on these three numbers."""
        return micro_batches(n_rows, n_time, n_params)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `[function(item) for item in items]`, with the calls spread over this backend's threads."""
        return self.workers.map(function, items)

    def row_ops(self, config: GPTConfig, weights: Array) -> RowOps:
        """Return the ops for decoding a single text with this model."""
        return RowOps(config, weights, self.workers.threads)

    def clip(self, gradient: Array, max_norm: float) -> float:
        """Scale a flat gradient in place to a norm of at most `max_norm`, on this backend's threads."""
        return clip.clip(gradient, max_norm, self.workers)

    def adamw(self, step: Update, norm: Any = 0.0) -> None:
        """Apply an AdamW update in place, on this backend's threads; skip it if the norm is not finite."""
        if math.isfinite(norm):
            adamw.update(step, self.workers)


@functools.cache
def create(threads: int | None = None) -> Backend:
    """Return the backend; None means as many threads as the machine or its container allows.

    Equal arguments return the same object, so that its threads are started only once.

    Raises:
        InputError: `threads` is less than 1.
    """
    check_threads(threads)
    return NumpyBackend(threads or usable_cores())
