"""LayerNorm, with sums done by BLAS, which is faster than `sum`."""

import math

import numpy as np

from scratchgpt.backends.numpy.filled import filled
from scratchgpt.ops.layernorm import Saved
from scratchgpt.shapes import AnyC, VectorC


def forward(x: AnyC, weight: VectorC, bias: VectorC | None = None, eps: float = 1e-5) -> tuple[AnyC, Saved]:
    """Normalize every row of `x` to mean 0 and variance 1, then scale by γ and shift by β."""
    C = x.shape[-1]
    mean = x @ filled((C, 1), 1.0 / C, x.dtype)
    x_hat = x - mean
    variance = np.vecdot(x_hat, x_hat)[..., None]  # still multiplied by C
    variance += C * eps
    rstd = np.sqrt(variance, out=variance)
    np.divide(math.sqrt(C), rstd, out=rstd)
    x_hat *= rstd
    y = x_hat * weight
    if bias is not None:
        y += bias
    return y, Saved(x_hat, rstd, weight, bias is not None)


def backward(saved: Saved, dy: AnyC) -> tuple[AnyC, VectorC, VectorC | None]:
    """Return dx, dweight, dbias (None without a bias); the formula is the reference op's."""
    C = dy.shape[-1]
    rows, x_hat, rstd = dy.reshape(-1, C), saved.x_hat.reshape(-1, C), saved.rstd.reshape(-1, 1)
    ones = filled((len(rows),), 1.0, dy.dtype)
    product = rows * x_hat
    dweight = ones @ product
    dbias = ones @ rows if saved.has_bias else None
    h = rows * saved.weight
    scale = np.vecdot(h, x_hat)[:, None]  # C · mean(h ∘ x̂)
    scale *= 1.0 / C
    h -= h @ filled((C, 1), 1.0 / C, dy.dtype)
    h -= np.multiply(x_hat, scale, out=product)
    h *= rstd
    return h.reshape(dy.shape), dweight, dbias
