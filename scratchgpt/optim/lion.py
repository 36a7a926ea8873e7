"""Lion, the optimizer: it keeps one moment. The formula is in `ops/lion.py`."""

from typing import Any

from scratchgpt.backends import Backend
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops.updates import lion
from scratchgpt.optim.base import Optimizer, check_betas, check_weight_decay, zero_moments
from scratchgpt.shapes import Array


class Lion(Optimizer):
    """The optimizer of `params`, which it changes in place.

    The betas are the paper's. Its advice for the rest: a learning rate 3 to 10 times smaller than AdamW's,
    and a weight decay larger by as much.

    Attributes:
        m: running mean of the gradient, a ParamVector.
    """

    name = "lion"

    def __init__(
        self,
        params: ParamVector,
        lr: float = 3e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.3,
        backend: Backend | None = None,
    ) -> None:
        super().__init__(params, lr, backend)
        check_betas(betas)
        check_weight_decay(weight_decay)
        self.betas = betas
        self.weight_decay = weight_decay
        self.m = zero_moments(params)

    @property
    def vectors(self) -> dict[str, ParamVector]:
        """The moment."""
        return {"m": self.m}

    def next_scalars(self, lr: float) -> Array:
        """Count a step and return its learning rate, on the host."""
        self.t += 1
        return lion.scalars_of(lr)

    def change(self, grads: ParamVector, scalars: Array, norm: Any) -> None:
        """Change weights and moment in place; nothing if the norm is not finite."""
        w, m = self.params.flat, self.m.flat
        n_decaying = self.params.layout.n_decaying
        step = lion.Update(w, grads.flat, m, n_decaying, self.betas, self.weight_decay, scalars)
        self.backend.apply_if_finite(lambda: lion.update(step), (w, m), norm)
