"""AdamW, the optimizer: it keeps the moments and counts the steps. The formula is in `ops/adamw.py`."""

import numpy as np

from scratchgpt.backends import Backend, get_backend
from scratchgpt.errors import InputError
from scratchgpt.ops.adamw import Update, scalars_of
from scratchgpt.params import ParamVector
from scratchgpt.shapes import Array


class AdamW:
    """The optimizer of `params`, which it changes in place.

    Attributes:
        params: the weights.
        backend: who computes; None means `get_backend()`.
        m: running mean of the gradient, a ParamVector.
        v: running mean of the squared gradient, a ParamVector.
        t: number of steps taken.
    """

    def __init__(
        self,
        params: ParamVector,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        backend: Backend | None = None,
    ) -> None:
        _check_hyperparameters(lr, betas, eps, weight_decay)
        self.backend = backend or get_backend()
        if self.backend.to_device(params.flat) is not params.flat:
            raise InputError(
                f"params is not where backend {self.backend.name!r} computes; "
                "expected params.map(backend.to_device)"
            )
        self.params = params
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        # The moments are kept in float32 at least: a 16-bit v would stop moving.
        dtype = np.promote_types(params.flat.dtype, np.float32)
        self.m = params.map(lambda flat: np.zeros_like(flat, dtype=dtype))
        self.v = self.m.zeros_like()
        self.t = 0

    def step(self, grads: ParamVector, lr: float | None = None) -> None:
        """Take one step; `lr` overrides the learning rate for this step (a schedule's value)."""
        scalars = self.next_scalars(self.lr if lr is None else lr)
        self.backend.adamw(self.update(grads, self.backend.to_device(scalars)))

    def next_scalars(self, lr: float) -> Array:
        """Count a step and return the numbers that only it has, on the host."""
        self.t += 1
        return scalars_of(lr, self.t, self.betas)

    def update(self, grads: ParamVector, scalars: Array) -> Update:
        """Return the update of a step, for `Backend.adamw`."""
        return Update(
            self.params.flat, grads.flat, self.m.flat, self.v.flat, self.params.layout.n_decaying,
            self.betas, self.eps, self.weight_decay, scalars,
        )  # fmt: skip


def _check_hyperparameters(lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    if not lr >= 0.0:
        raise InputError(f"lr is {lr!r}; expected a number of at least 0")
    if not all(0.0 <= beta < 1.0 for beta in betas):
        raise InputError(f"betas is {betas!r}; expected two numbers in [0, 1)")
    if not eps > 0.0:
        raise InputError(f"eps is {eps!r}; expected a positive number")
    if not weight_decay >= 0.0:
        raise InputError(f"weight_decay is {weight_decay!r}; expected a number of at least 0")
