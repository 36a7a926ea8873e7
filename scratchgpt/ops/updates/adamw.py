"""AdamW's update: Adam with decoupled weight decay.

    m ← β₁ m + (1 - β₁) g        m̂ = m / (1 - β₁ᵗ)
    v ← β₂ v + (1 - β₂) g²       v̂ = v / (1 - β₂ᵗ)
    w ← w - lr λ w               matrices only
    w ← w - lr m̂ / (√v̂ + eps)

Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2,
https://arxiv.org/abs/1711.05101, with PyTorch's convention that decay is multiplied by the learning
rate (the paper multiplies it by the schedule alone); Adam itself is Kingma and Ba (2015), algorithm 1,
https://arxiv.org/abs/1412.6980.
"""

import math
from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import Array


class Update(NamedTuple):
    """The arguments of one update: four flat vectors of equal length, and the hyperparameters.

    `n_decaying` elements, the leading ones, get weight decay. `scalars` holds the numbers that change from
    step to step, see `scalars_of`, on the backend's device.
    """

    w: Array
    g: Array
    m: Array
    v: Array
    n_decaying: int
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    scalars: Array


def scalars_of(lr: float, t: int, betas: tuple[float, float]) -> Array:
    """Return the learning rate and bias corrections of step `t` = 1, 2, ...: lr, 1 - β₁ᵗ, √(1 - β₂ᵗ)."""
    return np.array([lr, 1.0 - betas[0] ** t, math.sqrt(1.0 - betas[1] ** t)])


def update(step: Update, first: int = 0, last: int | None = None) -> None:
    """Update elements `first` to `last` (exclusive) of w, m and v in place.

    Weight decay is decoupled: it shrinks the weight directly instead of passing through the moments. The
    update is element-wise, so splitting the vectors anywhere gives the same result.
    """
    beta1, beta2 = step.betas
    lr, correction1, correction2 = (float(scalar) for scalar in step.scalars)
    w, g, m, v = step.w[first:last], step.g[first:last], step.m[first:last], step.v[first:last]
    g = g.astype(m.dtype, copy=False)
    decaying = w[: max(0, step.n_decaying - first)]
    decaying *= 1.0 - lr * step.weight_decay
    m *= beta1
    m += (1.0 - beta1) * g
    v *= beta2
    v += (1.0 - beta2) * (g * g)
    w -= (lr / correction1) * m / (np.sqrt(v) / correction2 + step.eps)
