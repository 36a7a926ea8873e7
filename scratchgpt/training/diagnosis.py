"""Find out why a step produced NaN or inf: repeat its passes and name the first layer that did."""

import dataclasses
from typing import Any

import numpy as np

from scratchgpt.backends import Backend, Op
from scratchgpt.nn.accumulation import cut_batch
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.context import Context
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.ops.rng import RowStreams
from scratchgpt.ops.row_gradient import RowGradient
from scratchgpt.shapes import Array, Tokens


def first_not_finite(
    bound: BoundModel,
    tokens: Tokens,
    targets: Tokens,
    streams: RowStreams | None,
    accumulate: int = 1,
) -> str:
    """Return a sentence that names the first numbers of a training step that are NaN or inf.

    Repeats the step's passes and checks forward op by op, then the gradients from the loss down.

    Args:
        bound: the model with the weights before the step. They are the same after it, because a step whose
            gradient is not finite changes nothing.
        tokens: the step's tokens, (B, T).
        targets: the step's targets, (B, T).
        streams: the step's random streams for dropout; None means no dropout.
        accumulate: gradient accumulation, as in the step.
    """
    model, backend = bound.model, bound.backend
    watch = _Watch(bound.context().params, backend)
    with np.errstate(over="ignore", invalid="ignore"), backend.active(parallel=True):
        n_targets = backend.count_targets(targets)
        for rows in cut_batch(len(tokens), tokens.shape[1], bound.params.size, backend, accumulate):
            ctx = Context(watch.params, watch, watch.ops, streams and streams[rows])
            x, y = backend.to_device(tokens[rows]), backend.to_device(targets[rows])
            try:
                _, saved = model.forward(ctx, x, y, n_targets)
                model.backward(ctx, saved)
            except _Found as found:
                return str(found)
    if watch.sum_of_squares > float(np.finfo(bound.params.flat.dtype).max):
        return (
            "every gradient is finite, but the sum of their squares is not: "
            f"that of {watch.largest_name} contains {watch.largest:.1e}"
        )
    return (
        "everything is finite now, because later steps have changed the weights; "
        "run with --training.log_interval 1 to find the layer"
    )


class _Found(Exception):
    """Ends the passes: the first number that is not finite has been found."""


class _Watch:
    """Checks every parameter that is read, every input and output of an op, and every gradient.

    Ops do not know which layer calls them, so an op is attributed to the parameters read just before it.
    """

    def __init__(self, params: ParamVector, backend: Backend) -> None:
        self.params = _WatchedParams(params, self)
        self.ops: Any = dataclasses.replace(
            backend.ops, **{name: _WatchedOp(name, op, self) for name, op in vars(backend.ops).items()}
        )
        self.sum_of_squares, self.largest, self.largest_name = 0.0, 0.0, ""
        self._backend = backend
        self._weights: dict[str, Array] = {}  # parameters read since the last op
        self._layer = ""  # the last layer that read parameters

    def reads(self, name: str, weight: Array) -> None:
        """Note that a parameter is read."""
        self._weights[name] = weight

    def op_begins(self, op: str, args: tuple[Any, ...]) -> str:
        """Check the weights, then the other inputs; return the message for an output that is not finite."""
        weights, self._weights = self._weights, {}
        if weights:
            self._layer = " and ".join(dict.fromkeys(name.rpartition(".")[0] for name in weights))
        place = f"{op} {'in' if weights else 'after'} {self._layer}"
        for name, weight in weights.items():
            self._check(f"the weight {name} is not finite before the step", weight)
        inputs = [arg for arg in _arrays(args) if not any(arg is weight for weight in weights.values())]
        for array in inputs:  # all outputs so far were finite, so this is the sum of two of them
            self._check(f"the input of {place} is not finite, a sum of finite outputs", array)
        sizes = [
            f"its {what} are at most {max(map(self._size, arrays)):.1e}"
            for what, arrays in (("inputs", inputs), ("weights", list(weights.values())))
            if arrays
        ]
        return f"the output of {place} is not finite ({', '.join(sizes)})"

    def op_ends(self, y: Any, problem: str) -> None:
        """Check the output of an op."""
        for array in _arrays(y):
            self._check(problem, array)

    def add(self, param: Param, gradient: Array | RowGradient) -> None:
        """Check a gradient. With this method the watch serves as the pass's `Context.grads`."""
        if isinstance(gradient, RowGradient):
            gradient = gradient.values
        self._check(f"every output is finite, but the gradient of {param.name} is not", gradient)
        self.sum_of_squares += float(np.square(self._on_host(gradient)).sum())
        size = self._size(gradient)
        if size > self.largest:
            self.largest, self.largest_name = size, param.name

    def _check(self, problem: str, array: Array) -> None:
        bad = ~np.isfinite(self._on_host(array))
        if bad.any():
            raise _Found(f"{problem}: {bad.sum():,} of {bad.size:,} values")

    def _size(self, array: Array) -> float:
        return float(np.abs(self._on_host(array)).max(initial=0.0))

    def _on_host(self, array: Array) -> Array:
        """Return the array in host memory as float64, which represents every value of the other types."""
        return np.asarray(self._backend.to_host(array)).astype(np.float64)


class _WatchedParams(ParamVector):
    """Weights that report when they are read."""

    def __init__(self, params: ParamVector, watch: _Watch) -> None:
        super().__init__(params.layout, params.flat)
        self._watch = watch

    def __getitem__(self, key: str | Param) -> Array:
        weight = super().__getitem__(key)
        self._watch.reads(key.name if isinstance(key, Param) else key, weight)
        return weight


class _WatchedOp:
    """An op whose inputs and outputs are checked."""

    def __init__(self, name: str, op: Op, watch: _Watch) -> None:
        self._name, self._watch = name, watch
        self._forward = op.forward
        self.backward = op.backward

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Compute `(y, saved)`, and check the inputs and y."""
        problem = self._watch.op_begins(self._name, args)
        y, saved = self._forward(*args, **kwargs)
        self._watch.op_ends(y, problem)
        return y, saved


def _arrays(values: Any) -> list[Array]:
    """Return the floating-point arrays among the arguments or results of an op."""
    each = values if isinstance(values, tuple | list) else [values]
    return [value for value in each if hasattr(value, "dtype") and value.dtype.kind not in "iub"]
