"""The base class of all optimizers, and checks of their hyperparameters."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from scratchgpt.backends import Backend, get_backend
from scratchgpt.errors import InputError
from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import Array


class Optimizer(ABC):
    """Holds the moments of the gradients, counts steps, and updates the weights `params` in place.

    A step has two halves, because a GPU may capture the second one as a CUDA graph and replay it:
    `next_scalars` counts the step on the host, `apply` does the work on the device. `step` does both.

    Each optimizer defines `change`, its own update rule; nothing but `apply` calls it. Callers use `apply`,
    which runs `change` and then lets the backend adapt the loss scale, the same for every optimizer.

    Attributes:
        name: the optimizer's name in settings and checkpoints.
        params: the weights.
        lr: the learning rate of steps called without one.
        backend: runs the updates.
        t: number of steps taken.
    """

    name: ClassVar[str]

    def __init__(self, params: ParamVector, lr: float, backend: Backend | None) -> None:
        expect("lr", lr, lr >= 0.0, "a number of at least 0")
        self.backend = backend or get_backend()
        if self.backend.to_device(params.flat) is not params.flat:
            raise InputError(
                f"params is not on the device of backend {self.backend.name!r}; "
                "move it there: params.map(backend.to_device)"
            )
        self.params = params
        self.lr = lr
        self.t = 0

    @property
    @abstractmethod
    def vectors(self) -> dict[str, ParamVector]:
        """The vectors that a checkpoint must store, by their names there."""

    @abstractmethod
    def next_scalars(self, lr: float) -> Array:
        """Count a step and return the numbers specific to it (e.g. its learning rate), on the host."""

    @abstractmethod
    def change(self, grads: ParamVector, scalars: Array, norm: Any) -> None:
        """Update weights and moments in place by this optimizer's rule, unless `norm` is not finite.

        The arguments are those of `apply`, which is what to call.
        """

    def apply(self, grads: ParamVector, scalars: Array, norm: Any) -> None:
        """Run one step on the backend's device, `change` and then the loss scale, without waiting for it.

        Args:
            grads: the gradients; they are not modified.
            scalars: the result of `next_scalars`, moved to the device.
            norm: the gradient norm; if it is not finite, neither weights nor moments change.
        """
        self.change(grads, scalars, norm)
        self.backend.update_loss_scale(norm)

    def step(self, grads: ParamVector, lr: float | None = None) -> None:
        """Take one step; `lr`, e.g. from a schedule, overrides the default learning rate."""
        scalars = self.backend.to_device(self.next_scalars(self.lr if lr is None else lr))
        with self.backend.active(parallel=True):
            self.apply(grads, scalars, self.backend.clip(grads.flat, math.inf))


def zero_moments(params: ParamVector) -> ParamVector:
    """Return zeros in the layout of `params`, at least float32: a 16-bit running mean would stop changing."""
    dtype = np.promote_types(params.flat.dtype, np.float32)
    return params.map(lambda flat: np.zeros_like(flat, dtype=dtype))


def expect(name: str, value: object, good: bool, expected: str) -> None:
    """Raise an InputError that names the hyperparameter unless its value is good."""
    if not good:
        raise InputError(f"{name} is {value!r}; expected {expected}")


def check_betas(betas: tuple[float, float]) -> None:
    """Raise an InputError unless both betas are in [0, 1)."""
    expect("betas", betas, all(0.0 <= beta < 1.0 for beta in betas), "two numbers in [0, 1)")


def check_weight_decay(weight_decay: float) -> None:
    """Raise an InputError if the weight decay is negative."""
    expect("weight_decay", weight_decay, weight_decay >= 0.0, "a number of at least 0")
