"""Exercise 00: a gradient by central differences."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, Case, D, Exercise, H, T, waves
from scratchgpt.shapes import Array

STEP = 0.1  # large, so that one-sided and central differences are far apart
ROW, INTEGERS, DEFAULT_H = "1-dimensional x", "integers", "default h"


def nonlinear(x: Array) -> float:
    """Return a scalar that is nonlinear in every entry of x and multiplies neighboring entries."""
    weights = waves(*x.shape, seed=9).astype(x.dtype)
    flat = np.ravel(x)
    return float(np.sum(weights * np.exp(0.7 * x)) + np.sum(flat[1:] * flat[:-1] ** 2))


def cases() -> list[Case]:
    """Return 2-dimensional x, 3 and 1, integers, and the default h."""
    whole = np.array([[2, -3, 1, 4], [-1, 3, 0, -2], [5, 1, -4, 2]])
    return [
        Case("first", {"x": waves(B, H), "h": STEP}),
        Case("3-dimensional x", {"x": waves(B, T, 2, seed=2), "h": STEP}),
        Case(ROW, {"x": waves(D, seed=3), "h": STEP}),
        Case(INTEGERS, {"x": whole, "h": STEP}),
        Case(DEFAULT_H, {"x": waves(B, H, seed=4)}),
    ]


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the gradient and x after the call; special cases get their own names."""
    x = np.array(case.inputs["x"])  # writable: it must come back unchanged
    step = {"h": case.inputs["h"]} if "h" in case.inputs else {}
    gradient = module.numerical_gradient(nonlinear, x, **step)
    yield (f"gradient ({case.name})" if case.name in (ROW, INTEGERS, DEFAULT_H) else "gradient"), gradient
    yield "x after the call", x


EXERCISE = Exercise(
    0,
    "A gradient can be checked without trusting anyone",
    ("numerical_gradient",),
    cases,
    run,
    ("gradient", *(f"gradient ({name})" for name in (ROW, INTEGERS, DEFAULT_H)), "x after the call"),
    tolerance=1e-8,  # at the default h, rounding errors are divided by 2e-5
    ratios={"h": STEP, "h²": STEP**2, "2": 2.0, "-1": -1.0},
    hints={
        "numerical_gradient": (
            "Change one entry of x at a time, a little up and a little down, and see how f changes.",
            "Work on a float64 copy of x. np.ndindex(x.shape) yields every index, however many axes x has.",
            "For each index: remember the entry, call f with entry + h, call f with entry - h, restore the "
            "entry; the derivative is the difference of the two results divided by 2h.",
        ),
    },
)
