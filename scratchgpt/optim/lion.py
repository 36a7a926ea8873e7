"""Lion as an optimizer: it holds one moment. The formula is in `ops/updates/lion.py`."""

from typing import Any

from scratchgpt.backends import Backend
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops.updates import lion
from scratchgpt.optim.base import Optimizer, check_betas, check_weight_decay, zero_moments
from scratchgpt.shapes import Array


class Lion(Optimizer):
    """Lion: steps by the sign of a momentum. Updates `params` in place.

    The betas are the paper's. The paper recommends a learning rate 3 to 10 times smaller than AdamW's and a
    weight decay larger by the same factor; the defaults here are AdamW's, divided and multiplied by about 3.

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
        """The moment, as checkpoints name it."""
        return {"m": self.m}

    def next_scalars(self, lr: float) -> Array:
        """Count a step and return its learning rate, on the host."""
        self.t += 1
        return lion.scalars_of(lr)

    def change(self, grads: ParamVector, scalars: Array, norm: Any) -> None:
        """Update weights and moment in place, unless the gradient norm is not finite."""
        w, m = self.params.flat, self.m.flat
        n_decaying = self.params.layout.n_decaying
        step = lion.Update(w, grads.flat, m, n_decaying, self.betas, self.weight_decay, scalars)
        self.backend.apply_if_finite(lambda: lion.update(step), (w, m), norm)
