"""AdamW, the optimizer: it keeps the moments and counts the steps. The formula is in `ops/adamw.py`."""

from typing import Any

from scratchgpt.backends import Backend
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops.updates.adamw import Update, scalars_of
from scratchgpt.optim.base import Optimizer, check_betas, check_weight_decay, expect, zero_moments
from scratchgpt.shapes import Array


class AdamW(Optimizer):
    """The optimizer of `params`, which it changes in place.

    Attributes:
        params: the weights.
        backend: who computes; None means `get_backend()`.
        m: running mean of the gradient, a ParamVector.
        v: running mean of the squared gradient, a ParamVector.
        t: number of steps taken.
    """

    name = "adamw"

    def __init__(
        self,
        params: ParamVector,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        backend: Backend | None = None,
    ) -> None:
        super().__init__(params, lr, backend)
        check_betas(betas)
        expect("eps", eps, eps > 0.0, "a positive number")
        check_weight_decay(weight_decay)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.m = zero_moments(params)
        self.v = self.m.zeros_like()

    @property
    def vectors(self) -> dict[str, ParamVector]:
        """Both moments."""
        return {"m": self.m, "v": self.v}

    def next_scalars(self, lr: float) -> Array:
        """Count a step and return the numbers that only it has, on the host."""
        self.t += 1
        return scalars_of(lr, self.t, self.betas)

    def change(self, grads: ParamVector, scalars: Array, norm: Any) -> None:
        """Change weights and moments in place; nothing if the norm is not finite."""
        update = Update(
            self.params.flat, grads.flat, self.m.flat, self.v.flat, self.params.layout.n_decaying,
            self.betas, self.eps, self.weight_decay, scalars,
        )  # fmt: skip
        self.backend.adamw(update, norm)
