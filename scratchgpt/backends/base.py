"""What a backend is: a table of ops, and where arrays live."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from threadpoolctl import ThreadpoolController

from scratchgpt.shapes import Array


class Op(Protocol):
    """A (forward, backward) pair; every module of `scratchgpt.ops` is one."""

    @property
    def forward(self) -> Callable[..., tuple[Any, Any]]:
        """Compute `(y, saved)` from the inputs."""

    @property
    def backward(self) -> Callable[..., tuple[Any, ...]]:
        """Compute the gradients of the inputs from `saved` and the gradient of y."""


@dataclass(frozen=True)
class Ops:
    """The table of pairs that layers call; a backend replaces entries by faster ones.

    A replacement keeps the signature of the textbook pair, may choose its own `saved`, and is
    tested against it.
    """

    embedding: Op
    layernorm: Op
    linear: Op
    split_heads: Op
    attention: Op
    merge_heads: Op
    gelu_tanh: Op
    gelu_exact: Op
    dropout: Op
    unembedding: Op
    cross_entropy: Op


@dataclass(frozen=True)
class Backend:
    """A table of ops and the place where its arrays live. This one keeps them in NumPy.

    Attributes:
        name: what `--backend` calls it.
        ops: its table of pairs.
        threads: how many threads a matrix product may use; None leaves BLAS as it is.
    """

    name: str
    ops: Ops
    threads: int | None = None

    def to_device(self, array: Array) -> Array:
        """Return the array where this backend computes; the same object if it is there already."""
        return array

    def to_host(self, array: Array) -> Array:
        """Return the array as a NumPy array; the same object if it is one already."""
        return array

    def active(self) -> AbstractContextManager[Any]:
        """Return a context for a pass: inside, BLAS uses `threads` threads; after it, as before."""
        if self.threads is None:
            return nullcontext()
        return _blas().limit(limits=self.threads, user_api="blas")


@functools.cache
def _blas() -> ThreadpoolController:
    """Find the loaded BLAS libraries; once, because the search takes milliseconds."""
    return ThreadpoolController()
