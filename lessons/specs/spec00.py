"""Exercise 00: a gradient by central differences."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, Case, D, Exercise, H, T, waves
from scratchgpt.shapes import Array

STEP = 0.1  # large, so that one-sided and central differences are far apart
ROW, WHOLE, SMALL = "x of rank 1", "whole numbers", "the usual h"


def bent(x: Array) -> float:
    """Return a number that every number of x bends, and in which neighbours are multiplied."""
    weights = waves(*x.shape, seed=9).astype(x.dtype)
    flat = np.ravel(x)
    return float(np.sum(weights * np.exp(0.7 * x)) + np.sum(flat[1:] * flat[:-1] ** 2))


def cases() -> list[Case]:
    """Return rank 2, rank 3, rank 1, whole numbers, and the h that is used in practice."""
    whole = np.array([[2, -3, 1, 4], [-1, 3, 0, -2], [5, 1, -4, 2]])
    return [
        Case("first", {"x": waves(B, H), "h": STEP}),
        Case("x of rank 3", {"x": waves(B, T, 2, seed=2), "h": STEP}),
        Case(ROW, {"x": waves(D, seed=3), "h": STEP}),
        Case(WHOLE, {"x": whole, "h": STEP}),
        Case(SMALL, {"x": waves(B, H, seed=4)}),
    ]


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the gradient, and x as it is afterwards; a case of its own kind has a name of its own."""
    x = np.array(case.inputs["x"])  # one that can be written to: it must come back as it was
    step = {"h": case.inputs["h"]} if "h" in case.inputs else {}
    gradient = module.numerical_gradient(bent, x, **step)
    yield (f"gradient ({case.name})" if case.name in (ROW, WHOLE, SMALL) else "gradient"), gradient
    yield "x afterwards", x


EXERCISE = Exercise(
    0,
    "A gradient can be checked without trusting anyone",
    ("numerical_gradient",),
    cases,
    run,
    ("gradient", *(f"gradient ({name})" for name in (ROW, WHOLE, SMALL)), "x afterwards"),
    tolerance=1e-8,  # at the usual h a difference of rounded numbers is divided by 2e-5
    ratios={"h": STEP, "h²": STEP**2, "2": 2.0, "-1": -1.0},
    hints={
        "numerical_gradient": (
            "Move one number at a time, a little up and a little down, and see how f changes.",
            "Work on a float64 copy of x. np.ndindex(x.shape) yields every index, for any rank.",
            "For each index: keep the number, call f with number + h, call f with number - h, put the number "
            "back; the derivative is the difference of the two calls over their distance, 2h.",
        ),
    },
)
