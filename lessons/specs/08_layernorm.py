"""Exercise 08: LayerNorm."""

import numpy as np

from lessons.kit.exercise import B, C, Case, Outputs, T, waves
from lessons.kit.pair import pair
from scratchgpt.shapes import Array

EPS = 0.1  # large, so that its place in the formula matters


def cases() -> list[Case]:
    """Return x of 3 dimensions with a bias, 2 dimensions, no bias, and rows far from zero."""
    weight, bias = waves(C, seed=3) + 0.4, waves(C, seed=4)
    given = {"weight": weight, "bias": bias, "eps": EPS}
    return [
        Case("first", {"x": waves(B, T, C), **given}, waves(B, T, C, seed=5, mean=0.1)),
        Case("2-dimensional x", {"x": waves(B, C, seed=6), **given}, waves(B, C, seed=7, mean=0.2)),
        Case("no bias", {"x": waves(B, T, C), **given, "bias": None}, waves(B, T, C, seed=5, mean=0.1)),
        Case("rows around 1000", {"x": waves(B, C, seed=6) + 1000.0, **given}, waves(B, C, seed=7)),
    ]


def terms(case: Case) -> dict[str, Array]:
    """Return the three terms of equations 8.2 to 8.4."""
    x, weight = case.inputs["x"], case.inputs["weight"]
    centered = x - x.mean(axis=-1, keepdims=True)
    rstd = 1.0 / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + EPS)
    x_hat, dx_hat = centered * rstd, case.dy * weight
    ones = np.ones_like(x)
    return {
        "direct": dx_hat * rstd,
        "mean": -dx_hat.mean(axis=-1, keepdims=True) * rstd * ones,
        "variance": -x_hat * (dx_hat * x_hat).mean(axis=-1, keepdims=True) * rstd,
    }


def rows_sum_to_zero(case: Case, outputs: Outputs) -> bool:
    """Return whether each row of dx sums to 0."""
    dx = np.asarray(outputs["dx"])
    return bool(np.abs(dx.sum(axis=-1)).max() < 1e-9 * max(1.0, np.abs(dx).max()))


EXERCISE = pair(
    8,
    "LayerNorm: project out two directions",
    cases,
    {"dx": "x", "dweight": "weight", "dbias": "bias"},
    terms={"dx": terms},
    equations={
        "direct": "dx̂/σ, eq. 8.2",
        "mean": "-mean(dx̂)/σ, eq. 8.3",
        "variance": "-x̂ mean(dx̂∘x̂)/σ, eq. 8.4",
    },
    invariants={
        "dx": (
            "adding a constant to a row of x leaves y unchanged, so each row of dx must sum to 0",
            rows_sum_to_zero,
        )
    },
    hints={
        "forward": (
            "Three steps: center each row, divide by its standard deviation, then scale and shift.",
            "The variance is the mean of the squares (divide by C), and eps is added before the root.",
            "Save x_hat, 1/σ and weight: backward does not need x or the mean.",
        ),
        "backward": (
            "dweight and dbias are sums over all rows; dx is about one row at a time.",
            "With dx_hat = dy∘weight, dx has three terms: dx_hat, one through the mean and one through σ.",
            "dx = (dx_hat - mean(dx_hat) - x_hat∘mean(dx_hat∘x_hat)) / σ, with means over the last axis.",
        ),
    },
)
