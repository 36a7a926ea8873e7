"""AdamW as an optimizer: it holds the moments and counts steps. The formula is in `ops/updates/adamw.py`."""

from typing import Any

from scratchgpt.backends import Backend
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops.updates.adamw import Update, scalars_of
from scratchgpt.optim.base import Optimizer, check_betas, check_weight_decay, expect, zero_moments
from scratchgpt.shapes import Array


class AdamW(Optimizer):
    """AdamW: Adam with decoupled weight decay on matrices. Updates `params` in place.

    The betas are those usual for language models; Adam's paper has β₂ = 0.999.

    Attributes:
        m: running mean of the gradient, a ParamVector.
        v: running mean of the squared gradient, a ParamVector.
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
        """Both moments, as checkpoints name them."""
        return {"m": self.m, "v": self.v}

    def next_scalars(self, lr: float) -> Array:
        """Count a step; return its learning rate and bias corrections, on the host."""
        self.t += 1
        return scalars_of(lr, self.t, self.betas)

    def change(self, grads: ParamVector, scalars: Array, norm: Any) -> None:
        """Update weights and moments in place, unless the gradient norm is not finite."""
        update = Update(
            self.params.flat, grads.flat, self.m.flat, self.v.flat, self.params.layout.n_decaying,
            self.betas, self.eps, self.weight_decay, scalars,
        )  # fmt: skip
        self.backend.adamw(update, norm)
