"""Layer normalization over the last axis.

    μ = mean(x),  σ² = mean((x - μ)²) + eps,  x̂ = (x - μ) / σ,  y = x̂ ∘ γ + β

Conventions: the variance is biased (divided by C, not C - 1); eps is inside the square root, and
σ includes it.
Source: Ba, Kiros, Hinton, "Layer Normalization" (2016), equation 3,
https://arxiv.org/abs/1607.06450. γ is `weight` and β is `bias`, as in GPT-2.
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import AnyC, AnyOne, Array, VectorC


class Saved(NamedTuple):
    """What backward needs: the normalized input x̂, 1/σ and γ; it uses neither x nor μ."""

    x_hat: AnyC
    rstd: AnyOne
    weight: VectorC
    has_bias: bool


def forward(x: AnyC, weight: VectorC, bias: VectorC | None = None, eps: float = 1e-5) -> tuple[AnyC, Saved]:
    """Normalize every row of `x` to mean 0 and variance 1, then scale by γ and shift by β."""
    centered = x - x.mean(axis=-1, keepdims=True)
    variance = (centered * centered).mean(axis=-1, keepdims=True)
    rstd: Array = 1.0 / np.sqrt(variance + eps)
    x_hat = centered * rstd
    y = x_hat * weight
    if bias is not None:
        y += bias
    return y, Saved(x_hat, rstd, weight, bias is not None)


def backward(saved: Saved, dy: AnyC) -> tuple[AnyC, VectorC, VectorC | None]:
    """Return dx, dweight, dbias (None without a bias).

    With dx̂ = dy ∘ γ:  dx = (dx̂ - mean(dx̂) - x̂ ∘ mean(dx̂ ∘ x̂)) / σ. The two subtracted terms are there
    because y does not change when x is shifted or (but for eps) scaled: dx has no component along
    (1, ..., 1) or, but for eps, along x̂.
    """
    x_hat, rstd, weight, has_bias = saved
    dx_hat = dy * weight
    mean = dx_hat.mean(axis=-1, keepdims=True)
    projection = (dx_hat * x_hat).mean(axis=-1, keepdims=True)
    dx = (dx_hat - mean - x_hat * projection) * rstd
    rows = tuple(range(dy.ndim - 1))
    dweight: Array = (dy * x_hat).sum(axis=rows)
    dbias: Array | None = dy.sum(axis=rows) if has_bias else None
    return dx, dweight, dbias
