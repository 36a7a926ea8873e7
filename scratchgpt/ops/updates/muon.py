"""Muon's update of one matrix: momentum, made orthogonal.

    m ← μ m + (1 - μ) g
    d = μ m + (1 - μ) g                      Nesterov: the newest gradient counts once more
    o = orthogonalise(d)                     about U Vᵀ, where d = U S Vᵀ
    w ← w - lr λ w
    w ← w - lr 0.2 √max(I, O) o

A gradient of a matrix has a few large singular values and many small ones; in U Vᵀ all are 1, so that every
direction moves. An I×O matrix with such singular values has elements of root mean square 1/√max(I, O); times
0.2 √max(I, O) that is 0.2, about what AdamW's steps have, so that one learning rate and one λ serve both.

Sources: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024),
https://kellerjordan.github.io/posts/muon/, with the mean for the sum in m, as PyTorch has it, because a
factor of d is divided out again; the scale is that of Liu et al., "Muon is Scalable for LLM Training" (2025),
section 2.2, https://arxiv.org/abs/2502.16982.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import IO, Array

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # the post's: steep at 0, and near 1 for what is not near 0
ITERATIONS = 5
EPS = 1e-7
RMS = 0.2  # of an update, before it is multiplied by lr

Product = Callable[[Array, Array], Array]


class Update(NamedTuple):
    """What the update of one matrix needs: three matrices (I, O), and numbers.

    `lr` has rank 0 and is where the backend computes.
    """

    w: IO
    g: IO
    m: IO
    lr: Array
    momentum: float
    weight_decay: float


def orthogonalise(matrix: IO, product: Product = np.matmul) -> IO:
    """Return a matrix of the same singular vectors whose singular values are near 1: from 0.68 to 1.21.

    Newton-Schulz with an odd polynomial of degree 5, five times over:

        x ← matrix / ‖matrix‖
        x ← a x + b (x xᵀ) x + c (x xᵀ)² x

    which does to each singular value what s ← a s + b s³ + c s⁵ does to a number. None exceeds 1 in the
    beginning, since ‖matrix‖ is the root of the sum of their squares. Those below 0.0015 do not get so far
    in five steps. A tall matrix is worked on lying, for the smaller x xᵀ.

    Args:
        matrix: of shape (I, O).
        product: multiplies two matrices.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / np.maximum(np.sqrt((x * x).sum()), EPS)
    for _ in range(ITERATIONS):
        gram = product(x, x.T)
        x = a * x + product(b * gram + c * product(gram, gram), x)
    return x.T if is_tall else x


def update(step: Update, product: Product = np.matmul) -> None:
    """Update w and m in place; arrays of any library that follows NumPy's protocols will do."""
    w, m, mu = step.w, step.m, step.momentum
    lr = step.lr.astype(w.dtype)
    g = step.g.astype(m.dtype, copy=False)
    m *= mu
    m += (1.0 - mu) * g
    direction = orthogonalise(mu * m + (1.0 - mu) * g, product)
    w *= 1.0 - lr * step.weight_decay
    w -= (lr * (RMS * math.sqrt(max(w.shape)))) * direction
