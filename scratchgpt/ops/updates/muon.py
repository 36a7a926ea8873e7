"""Muon's update of one matrix: orthogonalized momentum.

    m ← μ m + (1 - μ) g
    d = μ m + (1 - μ) g                      Nesterov momentum
    o = orthogonalise(d)                     ≈ U Vᵀ, where d = U S Vᵀ
    w ← w - lr λ w
    w ← w - lr 0.2 √max(I, O) o

A matrix's gradient has a few large singular values and many small ones. In U Vᵀ all of them are 1, so every
direction makes progress. The elements of an I×O matrix like that have a root mean square of 1/√max(I, O); the
factor 0.2 √max(I, O) makes it 0.2, about the size of an AdamW step, so one learning rate and one λ fit both.

Sources: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024),
https://kellerjordan.github.io/posts/muon/, except that m is a running mean instead of a sum, as in PyTorch
(orthogonalizing cancels any factor of d); the scale is from Liu et al., "Muon is Scalable for LLM Training"
(2025), section 2.2, https://arxiv.org/abs/2502.16982.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import IO, Array

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # from the post: steep at 0, close to 1 for everything not near 0
ITERATIONS = 5
EPS = 1e-7
RMS = 0.2  # root mean square of an update before it is multiplied by lr

Product = Callable[[Array, Array], Array]


class Update(NamedTuple):
    """The arguments of one matrix's update: three matrices (I, O), and the hyperparameters.

    `lr` is an array of rank 0 on the backend's device.
    """

    w: IO
    g: IO
    m: IO
    lr: Array
    momentum: float
    weight_decay: float


def orthogonalise(matrix: IO, product: Product = np.matmul) -> IO:
    """Return the matrix with its singular values replaced by values near 1, between 0.68 and 1.21.

    Five Newton-Schulz iterations with an odd polynomial of degree 5:

        x ← matrix / ‖matrix‖
        x ← a x + b (x xᵀ) x + c (x xᵀ)² x

    Each iteration maps every singular value s to a s + b s³ + c s⁵. All start at 1 or below, since ‖matrix‖
    is the square root of the sum of their squares. Those that start below 0.0015 do not reach 0.68 in five
    iterations. A tall matrix is transposed first, which makes x xᵀ smaller.

    Args:
        matrix: the matrix, (I, O).
        product: the matrix product to use, e.g. the backend's.
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
    """Update w and m in place. Works on arrays of any library that follows NumPy's protocols."""
    w, m, mu = step.w, step.m, step.momentum
    lr = step.lr.astype(w.dtype)
    g = step.g.astype(m.dtype, copy=False)
    m *= mu
    m += (1.0 - mu) * g
    direction = orthogonalise(mu * m + (1.0 - mu) * g, product)
    w *= 1.0 - lr * step.weight_decay
    w -= (lr * (RMS * math.sqrt(max(w.shape)))) * direction
