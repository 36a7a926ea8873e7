"""Compare a hand-written backward with finite differences of its forward."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchgpt.gradcheck.numerical import numerical_gradient
from scratchgpt.shapes import Array

TOLERANCE = 1e-7
MIN_SCALE = 1e-2  # what errors are relative to if all elements are smaller; a gradient may be zero everywhere


@dataclass(frozen=True)
class Result:
    """The verdict on one gradient.

    Attributes:
        op: the name of the op or model that was checked.
        tensor: the input or parameter whose gradient it is.
        error: the largest difference of any element, relative to the gradient's largest element; NaN if the
            gradient has the wrong shape or dtype, or is missing.
        tolerance: the largest error that passes.
        note: the worst element, or what is wrong with shape, dtype or number of gradients.
        is_zero: whether the gradient is zero everywhere, so that the check only shows that it must be.
    """

    op: str
    tensor: str
    error: float
    tolerance: float
    note: str = ""
    is_zero: bool = False

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; an error of NaN never is."""
        return self.error <= self.tolerance


def check(
    forward: Callable[..., tuple[Any, Any]],
    backward: Callable[..., Any],
    inputs: Mapping[str, Any] | Sequence[Any],
    *,
    name: str = "op",
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> list[Result]:
    """Check every element of every gradient that `backward` returns.

    The upstream gradient is random. If it were all ones, as when the loss is a plain sum, whole terms of a
    gradient could cancel, and a backward that omits them would pass.

    Args:
        forward: called as `forward(**inputs)`, returns `(y, saved)`; y is an array or a tuple of
            arrays. It must be deterministic: fix the random mask of dropout.
        backward: called as `backward(saved, dy)`, returns one gradient for each floating-point array among
            the inputs, in their order; None is skipped, and a single gradient need not be in a tuple.
        inputs: the arguments, by name or in order. Floating-point arrays (of any memory layout) are
            converted to float64 and differentiated; everything else is passed through unchanged.
        name: the op's name in the results.
        tolerance: the largest relative error that passes.
        seed: seeds the upstream gradient.

    Returns:
        One result for each floating-point array among the inputs.

    Raises:
        ValueError: if there is no such array, so there is nothing to check.
    """
    if not isinstance(inputs, Mapping):
        inputs = dict(inspect.signature(forward).bind(*inputs).arguments)
    values = {key: _read_only(value) for key, value in inputs.items()}
    names = [key for key, value in values.items() if _is_float_array(value)]
    if not names:
        kinds = ", ".join(f"{key}: {type(value).__name__}" for key, value in inputs.items())
        raise ValueError(f"{name}: no floating-point array among the inputs ({kinds}); expected at least one")

    y, saved = forward(**values)
    dy = _random_upstream(y, np.random.default_rng(seed))
    returned = backward(saved, dy)
    returned = tuple(returned) if isinstance(returned, tuple | list) else (returned,)
    gradients = [gradient for gradient in returned if gradient is not None]
    if len(gradients) != len(names):
        note = f"backward returned {len(gradients)} gradients for {len(names)} inputs ({', '.join(names)})"
        return [Result(name, key, float("nan"), tolerance, note) for key in names]

    results = []
    for key, gradient in zip(names, gradients, strict=True):

        def loss(x: Array, key: str = key) -> float:
            return _inner(forward(**{**values, key: _read_only(x)})[0], dy)

        expected = numerical_gradient(loss, values[key])
        results.append(compare(name, key, gradient, expected, tolerance))
    return results


def compare(op: str, tensor: str, gradient: Any, expected: Array, tolerance: float) -> Result:
    """Compare a gradient with the expected one: shape and dtype first, then every element."""
    gradient = np.asarray(gradient)
    if gradient.shape != expected.shape:
        note = f"shape {gradient.shape}, expected {expected.shape}"
        return Result(op, tensor, float("nan"), tolerance, note)
    if gradient.dtype != expected.dtype:
        note = f"dtype {gradient.dtype}, expected {expected.dtype}"
        return Result(op, tensor, float("nan"), tolerance, note)
    difference = np.abs(gradient - expected)
    scale = max(float(np.abs(expected).max()), float(np.abs(gradient).max()), MIN_SCALE)
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(difference), difference.shape))
    note = f"at {list(worst)}: backward {gradient[worst]:.6g}, finite differences {expected[worst]:.6g}"
    is_zero = not gradient.any() and not expected.any()
    return Result(op, tensor, float(difference[worst]) / scale, tolerance, note, is_zero)


def _is_float_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _read_only(value: Any) -> Any:
    """Return a read-only float64 view or copy of an array, with the same memory layout."""
    if not _is_float_array(value):
        return value
    value = value.astype(np.float64, copy=False).view()
    value.flags.writeable = False
    return value


def _random_upstream(y: Any, rng: np.random.Generator) -> Any:
    if isinstance(y, tuple):
        return tuple(_random_upstream(part, rng) for part in y)
    if np.ndim(y) == 0:
        return float(rng.uniform(0.5, 1.5))
    return _read_only(rng.standard_normal(y.shape))


def _inner(y: Any, dy: Any) -> float:
    if isinstance(y, tuple):
        return sum(_inner(part, dpart) for part, dpart in zip(y, dy, strict=True))
    return float((y * dy).sum())
