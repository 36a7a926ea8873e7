"""Layer normalization over the last axis.

    μ = mean(x),  σ² = mean((x - μ)²),  x̂ = (x - μ) / √(σ² + eps),  y = x̂ ∘ γ + β

Conventions: the variance is biased (divided by C, not C - 1); eps is inside the square root.
Source: Ba, Kiros, Hinton, "Layer Normalization" (2016), equation 3,
https://arxiv.org/abs/1607.06450. γ is `weight` and β is `bias`, as in GPT-2.
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import AnyC, AnyOne, Array, VectorC


class Saved(NamedTuple):
    """What backward needs: the normalized input x̂ and 1/σ; it uses neither x nor μ."""

    x_hat: AnyC
    rstd: AnyOne
    weight: VectorC
    has_bias: bool


def forward(x: AnyC, weight: VectorC, bias: VectorC | None = None, eps: float = 1e-5) -> tuple[AnyC, Saved]:
    """Normalize every row of `x` to mean 0 and variance 1, then scale by γ and shift by β."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    rstd: Array = 1.0 / np.sqrt(variance + eps)
    x_hat = centred * rstd
    y = x_hat * weight
    if bias is not None:
        y += bias
    return y, Saved(x_hat, rstd, weight, bias is not None)


def backward(saved: Saved, dy: AnyC) -> tuple[AnyC, VectorC, VectorC | None]:
    """Return dx, dweight, dbias (None without a bias).

    With h = dy ∘ γ:  dx = (h - mean(h) - x̂ ∘ mean(h ∘ x̂)) / σ. The two subtracted terms project out the
    two directions in which moving x leaves y unchanged: shifting x and scaling x.
    """
    x_hat, rstd, weight, has_bias = saved
    h = dy * weight
    shift = h.mean(axis=-1, keepdims=True)
    scale = (h * x_hat).mean(axis=-1, keepdims=True)
    dx = (h - shift - x_hat * scale) * rstd
    rows = tuple(range(dy.ndim - 1))
    dweight: Array = (dy * x_hat).sum(axis=rows)
    dbias: Array | None = dy.sum(axis=rows) if has_bias else None
    return dx, dweight, dbias
