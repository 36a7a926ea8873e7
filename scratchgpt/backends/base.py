"""What a backend is: a table of ops, plus everything else that depends on the machine.

Layers call the (forward, backward) pairs of `Backend.ops` and never ask which backend they run on. All other
differences between machines are methods of `Backend`:

    where arrays live    to_device, to_host, to_compute
    running a batch      active, micro_batches, map, capture_step, count_targets
    updating weights     unscale, clip, adamw, matmul, apply_if_finite, update_loss_scale, losses
    generating text      row_ops, sample
    housekeeping         check_supports, describe, memory, state, load_state

A training step runs inside `active` and uses them in this order: `to_compute` casts the weights to the dtype
of the passes; `micro_batches` splits the batch; `map` runs forward and backward of every micro-batch;
`unscale` and `clip` scale the gradient; `adamw` and `apply_if_finite` update the weights (AdamW calls the
first, Lion the second, Muon both); `update_loss_scale` sees the norm of the gradient. The record that
`losses` returned before the first step keeps the loss and the norm of every step (`Losses.append`).

`Backend` implements every method in plain NumPy, and `reference` is an instance of it. A subclass overrides
what its machine does faster or elsewhere; its results must equal the reference's up to rounding. To add a
backend, write a module with `create(**settings)` and enter it in `BACKENDS`.
"""

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
    """A (forward, backward) pair: a module of `scratchgpt.ops`, or a backend's module or object like it."""

    @property
    def forward(self) -> Callable[..., tuple[Any, Any]]:
        """Compute `(y, saved)` from the inputs."""

    @property
    def backward(self) -> Callable[..., tuple[Any, ...]]:
        """Compute the gradients of the inputs from `saved` and the upstream gradient dy."""


@dataclass(frozen=True)
class Ops:
    """The table of pairs that layers call; a backend replaces entries with faster ones.

    A replacement keeps the signature of the reference pair in `scratchgpt.ops` but may define its own
    `Saved`; tests compare its results with those of the reference.
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
    """The ops of one decoding step of a single text: one row, so vectors instead of arrays (B, T, C).

    Nothing is saved, because generation has no backward pass. Every method except `active` returns what the
    reference pair of the same name returns for that one row; `gelu` is the variant selected in the
    configuration.
    """

    def active(self) -> AbstractContextManager[Any]:
        """Return the context that a step runs in, as `Backend.active` does for passes."""

    def layernorm(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Return the normalized row (C,), given x, weight and bias (C,)."""

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Return x W + b (O,), given x (I,), weight (I, O) and bias (O,)."""

    def attention(self, q: Array, k: Array, v: Array) -> Array:
        """Return the heads' outputs (H, D), given the new token's query (H, D) and keys and values (H, S, D).

        Keys and values are those of all tokens so far, the new one included.
        """

    def gelu(self, x: Array) -> Array:
        """Return the configured GELU of x (F,)."""


class Backend:
    """A table of ops and the machine that they run on; this class uses NumPy and never splits a batch.

    Attributes:
        name: what `--backend` calls it.
        ops: its table of pairs.
        threads: how many threads it may use; None leaves that to the BLAS library.
    """

    def __init__(self, name: str, ops: Ops, threads: int | None = None) -> None:
        self.name = name
        self.ops = ops
        self.threads = threads

    # Where arrays live.

    def to_device(self, array: Array) -> Array:
        """Return the array in the memory that this backend computes in; no copy if it is there already."""
        return array

    def to_host(self, array: Array) -> Array:
        """Return the array as a NumPy array; no copy if it is one already."""
        return array

    def to_compute(self, flat: Array) -> Array:
        """Return the weights in the dtype that passes compute in; no copy if they have it already."""
        return flat

    # Running a batch.

    def active(self, parallel: bool) -> AbstractContextManager[Any]:
        """Return the context that passes run in; it sets the BLAS threads and restores them on exit.

        `parallel` says that `map` runs micro-batches inside it, so that BLAS need not use all cores.
        """
        return nullcontext() if self.threads is None else blas_threads(self.threads)

    def micro_batches(self, n_rows: int, n_time: int, n_params: int) -> list[slice]:
        """Return the micro-batches of a batch, as slices of its rows; here a single one.

        They may depend on the batch (n_rows, n_time) and the size of the model, but not on the number of
        threads, which would change the order of sums and so the last bits of the result.
        """
        return [slice(0, n_rows)]

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `[function(item) for item in items]`; a backend may run the calls in parallel."""
        return [function(item) for item in items]

    def capture_step(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return a function that does the same as `function`, one training step, and is called in its place.

        The arguments are host arrays and the dropout streams, or None in place of the streams. A backend may
        copy them to the device ahead of time, and may record what the step does there and replay the record
        (a CUDA graph).
        """
        return function

    def count_targets(self, targets: Array) -> Any:
        """Return the number of targets not equal to IGNORE_INDEX, in the form `linear_cross_entropy` takes.

        Here that is an int.
        """
        return int(np.count_nonzero(targets != IGNORE_INDEX))

    # Updating weights.

    def unscale(self, gradient: Array) -> None:
        """Divide a gradient by the loss scale, in place; does nothing without loss scaling."""

    def clip(self, gradient: Array, max_norm: float) -> Any:
        """Scale a flat gradient in place so that its norm is at most `max_norm`; return the norm before."""
        return clip.clip(gradient, max_norm)

    def adamw(self, step: adamw.Update, norm: Any = 0.0) -> None:
        """Apply an AdamW update in place; skip it if the gradient's `norm` is not finite."""
        if np.isfinite(norm):
            adamw.update(step)

    def matmul(self, a: Array, b: Array) -> Array:
        """Return the product of two matrices."""
        return a @ b

    def apply_if_finite(self, update: Callable[[], object], changed: Sequence[Array], norm: Any) -> None:
        """Run `update`, which modifies the arrays `changed` in place; skip it if `norm` is not finite.

        With it, an optimizer written in array operations runs on every backend.
        """
        if np.isfinite(norm):
            update()

    def update_loss_scale(self, norm: Any) -> None:
        """Adapt the loss scale to the gradient norm of the last step; does nothing without loss scaling."""

    def losses(self) -> Losses:
        """Return an empty record for the losses and gradient norms of training steps."""
        return Losses()

    # Generating text.

    def row_ops(self, config: GPTConfig, weights: Array) -> RowOps | None:
        """Return ops for decoding a single text with a model; None if decoding should use `ops`.

        `weights` are the model's, flat.
        """
        return None

    def sample(
        self, logits: Sequence[Array], temperature: float, top_k: int | None, uniforms: Sequence[float]
    ) -> list[int]:
        """Sample a token id from each array of logits (V,); arguments and errors as for `sampling.sample`."""
        return [
            sampling.sample(scores, temperature, top_k, uniform)
            for scores, uniform in zip(logits, uniforms, strict=True)
        ]

    # Housekeeping.

    def check_supports(self, config: GPTConfig) -> None:
        """Check that this backend can run a model; this one runs every model.

        Raises:
            InputError: if this backend cannot run a model of this configuration.
        """

    def describe(self) -> str:
        """Return a line or more on the hardware, precision and libraries, for the log of a run."""
        return f"backend {self.name}"

    def memory(self) -> str:
        """Return a line on the memory in use, with its line break; empty for a backend on the CPU."""
        return ""

    def state(self) -> dict[str, float]:
        """Return what a checkpoint must keep of this backend so that a run can be resumed; here nothing."""
        return {}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Restore what `state` returned."""


def check_threads(threads: int | None) -> None:
    """Raise an InputError unless `threads` is at least 1, or None for one per core."""
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; expected at least 1, or null for one per core")


@contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """Set the number of BLAS threads of the whole process while the context lasts.

    ThreadpoolController has a context that does the same, but takes several times as long, which counts when
    it is entered for every token.
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
    """Find the loaded BLAS libraries; cached, because the search takes milliseconds."""
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)
