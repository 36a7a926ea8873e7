"""Exercise 04: the linear map, for x with any number of dimensions."""

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, Case, D, H, Outputs, T, waves
from lessons.kit.pair import pair
from scratchgpt.shapes import Array

# Some mistakes show only in some of these cases.
RANKS = ("not square", "2-dimensional x", "4-dimensional x", "1-dimensional x")


def cases() -> list[Case]:
    """Return a square weight, where a wrong transpose does not raise, then weights that are not square."""
    square = {"weight": waves(D, D, seed=3), "bias": waves(D, seed=4)}
    given = {"weight": waves(D, H, seed=3), "bias": waves(H, seed=4)}
    return [
        Case("first", {"x": waves(B, T, D), **square}, waves(B, T, D, seed=5)),
        Case("not square", {"x": waves(B, T, D), **given}, waves(B, T, H, seed=5)),
        Case("2-dimensional x", {"x": waves(B, D, seed=6), **given}, waves(B, H, seed=7)),
        Case("4-dimensional x", {"x": waves(2, B, T, D, seed=6), **given}, waves(2, B, T, H, seed=7)),
        Case("1-dimensional x", {"x": waves(D, seed=8), **given}, waves(H, seed=9)),
        Case("no bias", {"x": waves(B, T, D), **given, "bias": None}, waves(B, T, H, seed=5)),
    ]


def terms(case: Case) -> dict[str, Array]:
    """Return the two terms of equation 4.1."""
    product = case.inputs["x"] @ case.inputs["weight"]
    return {"product": product, "bias": np.zeros_like(product) + case.inputs["bias"]}


def sums_agree(case: Case, outputs: Outputs) -> bool:
    """Return whether dbias and dy have the same sum."""
    return abs(float(np.sum(outputs["dbias"])) - float(np.sum(case.dy))) < 1e-9


def outer_sum_agrees(case: Case, outputs: Outputs) -> bool:
    """Return whether ⟨dW, W⟩ = ⟨dy, x W⟩, as for every product."""
    dweight = np.asarray(outputs["dweight"])
    y = case.inputs["x"] @ case.inputs["weight"]
    return bool(np.isclose((dweight * case.inputs["weight"]).sum(), (case.dy * y).sum(), rtol=1e-9))


PAIR = pair(
    4,
    "Matmul: what is broadcast forward is summed backward",
    cases,
    {"dx": "x", "dweight": "weight", "dbias": "bias"},
    terms={"y": terms},
    equations={"product": "x W, eq. 4.1", "bias": "b, eq. 4.1"},
    invariants={
        "dweight": ("y = x W is a product, so Σ dW∘W must be Σ dy∘(x W)", outer_sum_agrees),
        "dbias": (
            "every entry of dy is added to one entry of dbias, so both must have the same sum",
            sums_agree,
        ),
    },
    hints={
        "forward": (
            "The sum is over the last axis of x and the first of weight; the other axes of x are batch axes.",
            "Flatten them: x.reshape(-1, I) has one row per position, and one product does them all.",
            "y = x.reshape(-1, I) @ weight, plus bias; then reshape to (*x.shape[:-1], O).",
        ),
        "backward": (
            "Each gradient has the shape of its input; only one product of dy and the other input fits.",
            "dx sums over the outputs, dweight over the rows. What was broadcast (bias) is summed.",
            "With rows (N, I) and drows (N, O): drows @ weight.T, rows.T @ drows, drows.sum(axis=0).",
        ),
    },
)


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the results; each of the later cases gets its own names."""
    after = f", {case.name}" if case.name in (*RANKS, "no bias") else ""
    for output, value in PAIR.run(module, case):
        yield output + after, value


EXERCISE = replace(
    PAIR,
    run=run,
    forward=tuple(f"y{after}" for after in ("", *(f", {name}" for name in (*RANKS, "no bias")))),
    gradients={
        output + after: source
        for after in ("", *(f", {name}" for name in (*RANKS, "no bias")))
        for output, source in PAIR.gradients.items()
    },
)
