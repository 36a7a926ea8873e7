"""LayerNorm in cache-sized groups of rows, with its sums as matrix products: BLAS adds faster than `sum`."""

import numpy as np

from scratchgpt.backends.numpy.blocks import filled, row_blocks
from scratchgpt.ops.layernorm import Saved
from scratchgpt.shapes import AnyC, Array, VectorC


def forward(x: AnyC, weight: VectorC, bias: VectorC | None = None, eps: float = 1e-5) -> tuple[AnyC, Saved]:
    """Normalise every row of `x` to mean 0 and variance 1, then scale by γ and shift by β."""
    C = x.shape[-1]
    rows = x.reshape(-1, C)
    y, x_hat = np.empty(rows.shape, x.dtype), np.empty(rows.shape, x.dtype)
    rstd = np.empty((rows.shape[0], 1), x.dtype)
    averaging = filled(C, 1.0 / C, x.dtype)[:, None]
    for x_rows, y_rows, hat, r in row_blocks(rows, y, x_hat, rstd):
        np.subtract(x_rows, x_rows @ averaging, out=hat)
        np.multiply(hat, hat, out=y_rows)
        np.matmul(y_rows, averaging, out=r)
        r += eps
        np.sqrt(r, out=r)
        np.divide(1.0, r, out=r)
        hat *= r
        np.multiply(hat, weight, out=y_rows)
        if bias is not None:
            y_rows += bias
    saved = Saved(x_hat.reshape(x.shape), rstd.reshape(*x.shape[:-1], 1), weight, bias is not None)
    return y.reshape(x.shape), saved


def backward(saved: Saved, dy: AnyC) -> tuple[AnyC, VectorC, VectorC | None]:
    """Return dx, dweight, dbias (None without a bias); the formula is the textbook's."""
    C = dy.shape[-1]
    dtype = dy.dtype
    weight = saved.weight
    rows, hat_rows = dy.reshape(-1, C), saved.x_hat.reshape(-1, C)
    dx = np.empty(rows.shape, dtype)
    averaging = filled(C, 1.0 / C, dtype)[:, None]
    dweight, dbias = np.zeros(C, dtype), np.zeros(C, dtype)
    for dy_block, hat, rstd, h in row_blocks(rows, hat_rows, saved.rstd.reshape(-1, 1), dx):
        ones = filled(len(dy_block), 1.0, dtype)
        product = dy_block * hat
        dweight += ones @ product
        dbias += ones @ dy_block
        product *= weight
        scale = product @ averaging  # mean(h ∘ x̂), with h = dy ∘ γ
        np.multiply(dy_block, weight, out=h)
        h -= h @ averaging
        np.multiply(hat, scale, out=product)
        h -= product
        h *= rstd
    bias_gradient: Array | None = dbias if saved.has_bias else None
    return dx.reshape(dy.shape), dweight, bias_gradient
