"""Lion's update: the sign of an interpolated momentum, with decoupled weight decay.

    c ← β₁ m + (1 - β₁) g
    w ← w - lr λ w               matrices only
    w ← w - lr sign(c)
    m ← β₂ m + (1 - β₂) g

Every weight moves by lr, whatever its gradient: so lr is smaller than AdamW's, by 3 to 10 times, and λ
larger by as much. One moment is kept where AdamW keeps two.

Source: Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023), algorithm 2,
https://arxiv.org/abs/2302.06675.
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import Array


class Update(NamedTuple):
    """What one update needs: three flat vectors of one length, and numbers.

    `scalars` holds the learning rate alone, as `scalars_of` makes it, where the backend computes.
    """

    w: Array
    g: Array
    m: Array
    n_decaying: int
    betas: tuple[float, float]
    weight_decay: float
    scalars: Array


def scalars_of(lr: float) -> Array:
    """Return what changes from step to step: the learning rate."""
    return np.array([lr])


def update(step: Update) -> None:
    """Update w and m in place; arrays of any library that follows NumPy's protocols will do.

    Two betas, because the direction should hear more of the newest gradient than the memory keeps of it.
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
