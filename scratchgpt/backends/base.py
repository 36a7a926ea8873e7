"""What a backend is: a table of ops, and where arrays live."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from scratchgpt.backends.losses import Losses
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.ops import sampling
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.updates import adamw, clip
from scratchgpt.shapes import Array

Item = TypeVar("Item")
Result = TypeVar("Result")


class Op(Protocol):
    """A (forward, backward) pair; a module of `scratchgpt.ops` is one but for clip, sampling, optimizers."""

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
    linear_cross_entropy: Op


class RowOps(Protocol):
    """What a pass of one new token of one text calls: vectors instead of arrays (B, T, C), no `saved`.

    Every function but `active` returns what the textbook pair of its name returns for a single row.
    """

    def active(self) -> AbstractContextManager[Any]:
        """Return a context for the pass, as `Backend.active` does."""

    def layernorm(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Take x, weight and bias (C,)."""

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Take x (I,), weight (I, O) and bias (O,)."""

    def attention(self, q: Array, k: Array, v: Array) -> Array:
        """Take the query (H, D) of the new token, and the keys and values (H, S, D) of all up to it."""

    def gelu(self, x: Array) -> Array:
        """Take x (F,); which GELU it is stands in the configuration."""


class Backend:
    """A table of ops and the place where its arrays live. This one keeps them in NumPy and runs in one piece.

    Attributes:
        name: what `--backend` calls it.
        ops: its table of pairs.
        threads: how many threads it may use; None leaves that to the BLAS library.
    """

    def __init__(self, name: str, ops: Ops, threads: int | None = None) -> None:
        self.name = name
        self.ops = ops
        self.threads = threads

    def describe(self) -> str:
        """Say in a line or more what computes, and how."""
        return f"backend {self.name}"

    def memory(self) -> str:
        """Say how much memory is taken, if a device has memory of its own; else nothing."""
        return ""

    # Where arrays live.

    def to_device(self, array: Array) -> Array:
        """Return the array where this backend computes; the same object if it is there already."""
        return array

    def to_host(self, array: Array) -> Array:
        """Return the array as a NumPy array; the same object if it is one already."""
        return array

    def to_compute(self, flat: Array) -> Array:
        """Return the weights in the type that passes compute in; the same object if they have it already."""
        return flat

    # How a batch is worked on.

    def active(self, side_by_side: bool) -> AbstractContextManager[Any]:
        """Return a context for passes: inside, BLAS uses this backend's threads; after it, as before.

        `side_by_side` says that the passes are the micro-batches of `micro_batches`, which `map` runs.
        """
        return nullcontext() if self.threads is None else blas_threads(self.threads)

    def micro_batches(self, n_rows: int, n_time: int, n_params: int) -> list[slice]:
        """Return the micro-batches of a batch, as rows; here one with everything in it."""
        return [slice(0, n_rows)]

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `[function(item) for item in items]`; a backend may compute them side by side."""
        return [function(item) for item in items]

    def capture_step(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return the function of a training step in the form in which it is called again and again.

        Its arguments are arrays on the host and settings that stay what they are; a backend may move the
        arrays to the device beforehand, and replay what the function did there.
        """
        return function

    def count_targets(self, targets: Array) -> Any:
        """Return how many targets count, as `linear_cross_entropy` takes it: here a whole number."""
        return int(np.count_nonzero(targets != IGNORE_INDEX))

    # What happens to gradients and logits.

    def unscale(self, gradient: Array) -> None:
        """Undo, in place, the scale that keeps gradients in the range of 16-bit types; here is none."""

    def clip(self, gradient: Array, max_norm: float) -> Any:
        """Scale a flat gradient so that its norm is at most `max_norm`; return the norm that it had."""
        return clip.clip(gradient, max_norm)

    def adamw(self, step: adamw.Update, norm: Any = 0.0) -> None:
        """Take a step of AdamW, in place; none if the norm of the gradient is not finite."""
        if np.isfinite(norm):
            adamw.update(step)

    def apply_if_finite(self, update: Callable[[], object], changed: Sequence[Array], norm: Any) -> None:
        """Run an update that changes these arrays in place; they stay as they are if the norm is not finite.

        So an optimizer whose update is made of array operations works on every backend.
        """
        if np.isfinite(norm):
            update()

    def matmul(self, a: Array, b: Array) -> Array:
        """Return the product of two matrices."""
        return a @ b

    def update_loss_scale(self, norm: Any) -> None:
        """Hear that an optimizer has taken a step, and of the norm of its gradient; here nothing follows."""

    def state(self) -> dict[str, float]:
        """Return what a resumed run must know of this backend; here nothing."""
        return {}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Go on from such a state."""

    def check_supports(self, config: GPTConfig) -> None:
        """See that this backend can compute a model; this one can compute any.

        Raises:
            InputError: it cannot.
        """

    def row_ops(self, config: GPTConfig, weights: Array) -> RowOps | None:
        """Return faster ops for one new token of one text; None if it goes through `ops` like all others.

        `weights` are those of the model, flat.
        """
        return None

    def losses(self) -> Losses:
        """Return a record of losses and gradient norms, to be read when somebody wants to know."""
        return Losses()

    def sample(
        self, logits: Sequence[Array], temperature: float, top_k: int | None, uniforms: Sequence[float]
    ) -> list[int]:
        """Return a token id for each array of scores (V,); arguments and errors as for `sampling.sample`."""
        return [
            sampling.sample(scores, temperature, top_k, uniform)
            for scores, uniform in zip(logits, uniforms, strict=True)
        ]


def check_threads(threads: int | None) -> None:
    """Raise an InputError unless `threads` is at least 1, or None for one thread per core."""
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; expected at least 1, or null for one per core")


@contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """Let matrix products use so many threads, in the whole process, while the context lasts.

    ThreadpoolController's own context does the same and takes several times as long: much for one token.
    """
    before = [(library, library.num_threads) for library in _blas_libraries()]
    for library, usual in before:
        if usual != threads:
            library.set_num_threads(threads)
    try:
        yield
    finally:
        for library, usual in before:
            if usual != threads:
                library.set_num_threads(usual)


@functools.cache
def _blas_libraries() -> list[Any]:
    """Find the loaded BLAS libraries; once, because the search takes milliseconds."""
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)
