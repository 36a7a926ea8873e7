"""The context of a pass: everything that layers may read or write."""

from dataclasses import dataclass
from typing import Protocol

from scratchgpt.backends.base import Ops
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.ops.rng import UniformSource
from scratchgpt.ops.row_gradient import RowGradient
from scratchgpt.shapes import Array


class Gradients(Protocol):
    """Where backward adds gradients: a `ParamVector`, or one micro-batch's view of an accumulator."""

    def add(self, param: Param, gradient: Array | RowGradient) -> None:
        """Add `gradient`, which has the parameter's shape, to the gradient of `param`."""


class NoGradients:
    """Stands in for gradients in a pass without backward."""

    def add(self, param: Param, gradient: Array | RowGradient) -> None:
        """Raise: backward must not run in this pass."""
        raise TypeError(f"backward of {param.name!r} ran in a pass without gradients")


NO_GRADS = NoGradients()


@dataclass(frozen=True)
class Context:
    """What a pass through the model reads and writes; each micro-batch in training has its own.

    Attributes:
        params: the weights, read only.
        grads: where backward adds gradients; `NO_GRADS` in a pass without backward.
        ops: the backend's table of (forward, backward) pairs.
        rng: draws the dropout masks; None turns dropout off (evaluation).
    """

    params: ParamVector
    grads: Gradients
    ops: Ops
    rng: UniformSource | None = None

    @property
    def needs_backward(self) -> bool:
        """Whether a backward pass may follow."""
        return self.grads is not NO_GRADS
