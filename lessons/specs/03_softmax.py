"""Exercise 03: softmax."""

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, Case, H, Outputs, S, T, V, waves
from lessons.kit.pair import pair
from scratchgpt.shapes import Array

ROW, LARGE, APART = "1-dimensional x", "scores around 1000", "rows 1000 apart"


def cases() -> list[Case]:
    """Return 3-dimensional x, 4 (with masked scores), 2 and 1, and scores that overflow in exp."""
    masked = waves(B, H, T, S, seed=3)
    masked[..., -2:] = -np.inf
    apart = waves(B, S, seed=8) + np.array([[1000.0], [0.0], [-1000.0]])
    return [
        Case("first", {"x": waves(B, T, S)}, waves(B, T, S, seed=2, mean=0.1)),
        Case("masked scores", {"x": masked}, waves(B, H, T, S, seed=4)),
        Case("2-dimensional x", {"x": waves(T, V, seed=5)}, waves(T, V, seed=6)),
        Case(ROW, {"x": waves(V, seed=5)}, waves(V, seed=6)),
        Case(LARGE, {"x": waves(T, S, seed=7) + 1000.0}, waves(T, S, seed=6)),
        Case(APART, {"x": apart}, waves(B, S, seed=6)),
    ]


def terms(case: Case) -> dict[str, Array]:
    """Return the two terms of equation 3.5."""
    x = case.inputs["x"]
    exp = np.exp(x - x.max(axis=-1, keepdims=True))
    probs = exp / exp.sum(axis=-1, keepdims=True)
    return {
        "numerator": probs * case.dy,
        "denominator": -probs * (probs * case.dy).sum(axis=-1, keepdims=True),
    }


def rows_sum_to_one(case: Case, outputs: Outputs) -> bool:
    """Return whether each row of probs sums to 1."""
    probs = np.asarray(outputs["probs"], dtype=np.float64)
    return probs.ndim > 0 and bool(np.allclose(probs.sum(axis=-1), 1.0, rtol=0, atol=1e-10))


def rows_sum_to_zero(case: Case, outputs: Outputs) -> bool:
    """Return whether each row of dx sums to 0."""
    dx = np.asarray(outputs["dx"])
    return dx.ndim > 0 and bool(np.abs(dx.sum(axis=-1)).max() < 1e-9)


_PAIR = pair(
    3,
    "Softmax couples all outputs",
    cases,
    {"dx": "x"},
    y=("probs",),
    terms={"dx": terms},
    equations={"numerator": "p∘dp, eq. 3.5", "denominator": "-p Σ(p∘dp), eq. 3.5"},
    invariants={
        "probs": ("the probabilities of a row must sum to 1", rows_sum_to_one),
        "dx": (
            "adding a constant to a row of x does not change its probabilities, so rows of dx must sum to 0",
            rows_sum_to_zero,
        ),
    },
    hints={
        "forward": (
            "Make all numbers positive with exp, then divide each row by its sum.",
            "Subtract each row's maximum before exp: it cancels in the ratio, and nothing overflows.",
            "Take max and sum over axis=-1, with keepdims=True. Save the probabilities.",
        ),
        "backward": (
            "Each score changes all probabilities of its row: through its own exp, and through the sum.",
            "∂p_i/∂x_j is p_i - p_i² for i = j, and -p_i p_j otherwise. Multiply by dp_i and sum over i.",
            "dx_j = p_j (dp_j - Σ_i p_i dp_i); sum over the last axis with keepdims=True.",
        ),
    },
)


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield probs and dx; cases in which only some mistakes show get their own names."""
    for output, value in _PAIR.run(module, case):
        yield (f"{output} ({case.name})" if case.name in (ROW, LARGE, APART) else output), value


EXERCISE = replace(_PAIR, run=run, forward=("probs", *(f"probs ({name})" for name in (ROW, LARGE, APART))))
