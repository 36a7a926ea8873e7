"""AdamW: Adam with decoupled weight decay.

Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2,
https://arxiv.org/abs/1711.05101, with PyTorch's convention that decay is multiplied by the learning
rate (the paper multiplies it by the schedule alone); Adam itself is Kingma and Ba (2015), algorithm 1,
https://arxiv.org/abs/1412.6980.
"""

import math

import numpy as np

from scratchgpt.backends import Backend, get_backend
from scratchgpt.errors import InputError
from scratchgpt.params import ParamVector
from scratchgpt.shapes import Array

BLOCK = 1 << 18  # elements updated at a time, so that the temporaries stay in cache
PARTS = 8  # of the vector, for as many threads at most


class AdamW:
    """The optimizer of `params`, which it changes in place.

    `backend` is whose threads do it; None means those of `get_backend()`.

    Attributes:
        params: the weights.
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
        self.params = params
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self._backend = backend or get_backend()
        # The moments are kept in float32 at least: a 16-bit v would stop moving.
        dtype = np.promote_types(params.flat.dtype, np.float32)
        self.m = params.map(lambda flat: np.zeros_like(flat, dtype=dtype))
        self.v = self.m.zeros_like()
        self.t = 0

    def step(self, grads: ParamVector, lr: float | None = None) -> None:
        """Take one step; `lr` overrides the learning rate for this step (a schedule's value).

            m ← β₁ m + (1 - β₁) g        m̂ = m / (1 - β₁ᵗ)
            v ← β₂ v + (1 - β₂) g²       v̂ = v / (1 - β₂ᵗ)
            w ← w - lr λ w               matrices only
            w ← w - lr m̂ / (√v̂ + eps)

        Decay is decoupled: it acts on the weight, not through the moments.
        """
        lr = self.lr if lr is None else lr
        self.t += 1
        # Element-wise work: any cut gives the same result, so the backend may run the parts side by side.
        part = max(BLOCK, -(-self.params.size // PARTS))
        parts = [(start, min(start + part, self.params.size)) for start in range(0, self.params.size, part)]
        self._backend.map(lambda bounds: self._update(*bounds, grads.flat, lr), parts)

    def _update(self, first: int, last: int, gradient: Array, lr: float) -> None:
        """Update elements first to last, a block at a time."""
        beta1, beta2 = self.betas
        correction1 = 1.0 - beta1**self.t
        correction2 = math.sqrt(1.0 - beta2**self.t)
        n_decaying = self.params.decaying.size
        for start in range(first, last, BLOCK):
            block = slice(start, min(start + BLOCK, last))
            w, g, m, v = self.params.flat[block], gradient[block], self.m.flat[block], self.v.flat[block]
            g = g.astype(m.dtype, copy=False)
            decaying = w[: max(0, n_decaying - start)]
            decaying *= 1.0 - lr * self.weight_decay
            m *= beta1
            m += (1.0 - beta1) * g
            v *= beta2
            v += (1.0 - beta2) * (g * g)
            w -= (lr / correction1) * m / (np.sqrt(v) / correction2 + self.eps)


def _check_hyperparameters(lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    if not lr >= 0.0:
        raise InputError(f"lr is {lr!r}; expected a number of at least 0")
    if not all(0.0 <= beta < 1.0 for beta in betas):
        raise InputError(f"betas is {betas!r}; expected two numbers in [0, 1)")
    if not eps > 0.0:
        raise InputError(f"eps is {eps!r}; expected a positive number")
    if not weight_decay >= 0.0:
        raise InputError(f"weight_decay is {weight_decay!r}; expected a number of at least 0")
