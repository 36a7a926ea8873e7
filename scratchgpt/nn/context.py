"""Everything that a pass through the model may touch."""

from dataclasses import dataclass
from typing import Protocol

from scratchgpt.backends.base import Ops
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.ops.rng import UniformSource
from scratchgpt.ops.row_gradient import RowGradient
from scratchgpt.shapes import Array


class Gradients(Protocol):
    """Where backward leaves its results: a `ParamVector`, or one micro-batch's share in an accumulator."""

    def add(self, param: Param, gradient: Array | RowGradient) -> None:
        """Add to the gradient of a parameter."""


class NoGradients:
    """The gradients of a pass that has no backward."""

    def add(self, param: Param, gradient: Array | RowGradient) -> None:
        """Refuse."""
        raise TypeError(f"a gradient of {param.name!r} in a pass without gradients")


NO_GRADS = NoGradients()


@dataclass(frozen=True)
class Context:
    """The surroundings of one pass; one per thread.

    Attributes:
        params: the weights, only read.
        grads: where backward adds gradients; `NO_GRADS` in a pass that has no backward.
        ops: the backend's table of (forward, backward) pairs.
        rng: draws dropout masks; None switches dropout off (evaluation).
    """

    params: ParamVector
    grads: Gradients
    ops: Ops
    rng: UniformSource | None = None

    @property
    def needs_backward(self) -> bool:
        """Whether a backward pass may follow."""
        return self.grads is not NO_GRADS
