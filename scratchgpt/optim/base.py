"""What every optimizer is: the owner of moments, which counts steps and changes the weights."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from scratchgpt.backends import Backend, get_backend
from scratchgpt.errors import InputError
from scratchgpt.nn.params import ParamVector
from scratchgpt.shapes import Array


class Optimizer(ABC):
    """The optimizer of `params`, which it changes in place.

    A step has two halves, because a device may repeat the second one from a record: `next_scalars` counts
    on the host, `apply` works on the device. `step` is both.

    Attributes:
        name: what settings and checkpoints call it.
        params: the weights.
        lr: the learning rate of steps that are given none.
        backend: who computes.
        t: number of steps taken.
    """

    name: ClassVar[str]

    def __init__(self, params: ParamVector, lr: float, backend: Backend | None) -> None:
        expect("lr", lr, lr >= 0.0, "a number of at least 0")
        self.backend = backend or get_backend()
        if self.backend.to_device(params.flat) is not params.flat:
            raise InputError(
                f"params is not where backend {self.backend.name!r} computes; "
                "expected params.map(backend.to_device)"
            )
        self.params = params
        self.lr = lr
        self.t = 0

    @property
    @abstractmethod
    def vectors(self) -> dict[str, ParamVector]:
        """What a checkpoint must keep, by the name that it has there."""

    @abstractmethod
    def next_scalars(self, lr: float) -> Array:
        """Count a step and return the numbers that only it has, on the host."""

    @abstractmethod
    def change(self, grads: ParamVector, scalars: Array, norm: Any) -> None:
        """Change weights and moments in place; nothing if the norm is not finite."""

    def apply(self, grads: ParamVector, scalars: Array, norm: Any) -> None:
        """Take the step whose numbers are `scalars`, where the backend computes; nobody waits for a device.

        Args:
            grads: the gradients, which stay as they are.
            scalars: what `next_scalars` returned, where the backend computes.
            norm: of the gradients; if it is not finite, neither weights nor moments change.
        """
        self.change(grads, scalars, norm)
        self.backend.update_loss_scale(norm)

    def step(self, grads: ParamVector, lr: float | None = None) -> None:
        """Take one step; `lr` overrides the learning rate for this step (a schedule's value)."""
        scalars = self.backend.to_device(self.next_scalars(self.lr if lr is None else lr))
        with self.backend.active(parallel=True):
            self.apply(grads, scalars, self.backend.clip(grads.flat, math.inf))


def zero_moments(params: ParamVector) -> ParamVector:
    """Return zeros of the layout of `params`, in float32 at least: a 16-bit mean would stop moving."""
    dtype = np.promote_types(params.flat.dtype, np.float32)
    return params.map(lambda flat: np.zeros_like(flat, dtype=dtype))


def expect(name: str, value: object, good: bool, expected: str) -> None:
    """Raise an InputError that names a hyperparameter unless its value is good."""
    if not good:
        raise InputError(f"{name} is {value!r}; expected {expected}")


def check_betas(betas: tuple[float, float]) -> None:
    """See that both decays of moments are in [0, 1)."""
    expect("betas", betas, all(0.0 <= beta < 1.0 for beta in betas), "two numbers in [0, 1)")


def check_weight_decay(weight_decay: float) -> None:
    """See that the decay is not negative."""
    expect("weight_decay", weight_decay, weight_decay >= 0.0, "a number of at least 0")
