"""Lion's update: the sign of an interpolated momentum, with decoupled weight decay.

    c ← β₁ m + (1 - β₁) g
    w ← w - lr λ w               matrices only
    w ← w - lr sign(c)
    m ← β₂ m + (1 - β₂) g

Every weight moves by exactly lr, however large its gradient. That is why Lion's lr is 3 to 10 times smaller
than AdamW's, and its λ larger by the same factor. Lion keeps one moment; AdamW keeps two.

Source: Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023), algorithm 2,
https://arxiv.org/abs/2302.06675.
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import Array


class Update(NamedTuple):
    """The arguments of one update: three flat vectors of equal length, and the hyperparameters.

    `n_decaying` elements, the leading ones, get weight decay. `scalars` holds only the learning rate, see
    `scalars_of`, on the backend's device.
    """

    w: Array
    g: Array
    m: Array
    n_decaying: int
    betas: tuple[float, float]
    weight_decay: float
    scalars: Array


def scalars_of(lr: float) -> Array:
    """Return the numbers that change from step to step: only the learning rate."""
    return np.array([lr])


def update(step: Update) -> None:
    """Update w and m in place. Works on arrays of any library that follows NumPy's protocols.

    There are two betas so that the newest gradient can weigh more in the direction than in the moment.
    """
    beta1, beta2 = step.betas
    w, m = step.w, step.m
    lr = step.scalars[0].astype(w.dtype)
    g = step.g.astype(m.dtype, copy=False)
    direction = np.sign(beta1 * m + (1.0 - beta1) * g)
    decaying = w[: step.n_decaying]
    decaying *= 1.0 - lr * step.weight_decay
    w -= lr * direction
    m *= beta2
    m += (1.0 - beta2) * g
