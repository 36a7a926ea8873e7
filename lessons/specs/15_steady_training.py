"""Exercise 15: clipping, accumulation, schedule."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import SIZES, B, C, Case, D, Exercise, Outputs, V, WrongAnswer, waves
from lessons.kit.pair import kind
from scratchgpt.shapes import Array

COUNTS = (15, 4, 11)  # targets in each micro-batch
RATES = {"peak": 0.7, "floor": 0.05, "max_steps": 17}


def gradients(seed: float, size: float) -> tuple[Array, ...]:
    """Return the gradients of a small model: a matrix, a vector and another matrix."""
    shapes = ((D, C), (C,), (B, V))
    return tuple(size * waves(*shape, seed=seed + i, mean=0.4) for i, shape in enumerate(shapes))


def cases() -> list[Case]:
    """Return gradients to be clipped, gradients below the limit, and gradients of micro-batches."""
    parts = tuple(gradients(10.0 * i + 2.0, 1.0 + i) for i in range(len(COUNTS)))
    inputs = {"gradients": gradients(1.0, 1.0), "small": gradients(4.0, 0.01), "parts": parts}
    other = tuple(gradients(7.0 * i + 40.0, 3.0 - i) for i in range(len(COUNTS)))
    return [
        Case("first", {**inputs, "max_norm": 2.5}),
        Case("another limit", {**inputs, "gradients": gradients(50.0, 2.0), "parts": other, "max_norm": 1.1}),
    ]


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the results of clipping, accumulation and both together, then the rates of two schedules."""
    inputs, max_norm = case.inputs, case.inputs["max_norm"]
    clipped, norm = two(module.clip(list(inputs["gradients"]), max_norm), "clip", "(clipped, norm)")
    yield from each("clipped", clipped, 3)
    yield "norm", norm
    clipped, norm = two(module.clip(list(inputs["small"]), max_norm), "clip", "(clipped, norm)")
    yield from each("small, clipped", clipped, 3)
    yield "norm of small", norm
    parts = [list(part) for part in inputs["parts"]]
    yield from each("accumulated", module.accumulate(parts, list(COUNTS)), 3)
    yield from each("one micro-batch", module.accumulate(parts[:1], [7]), 3)
    taken = module.gradient_of_step(parts, list(COUNTS), max_norm)
    clipped, norm = two(taken, "gradient_of_step", "(gradients, norm)")
    yield from each("of a step", clipped, 3)
    yield "norm of a step", norm
    for name, warmup_steps in (("rates", 6), ("rates without warm-up", 0)):
        settings = {**RATES, "warmup_steps": warmup_steps}
        rates = [module.learning_rate(step, **settings) for step in range(22)]
        yield name, np.array(rates, dtype=np.float64)


def two(value: Any, function: str, what: str) -> tuple[Any, Any]:
    """Return the two values that a function returned.

    Raises:
        WrongAnswer: it returned something else.
    """
    if not isinstance(value, tuple) or len(value) != 2:
        raise WrongAnswer(f"{function} returned {kind(value)}; expected {what}")
    return value[0], value[1]


def each(name: str, arrays: Any, n: int) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a list one by one, under numbered names."""
    if not isinstance(arrays, list | tuple) or len(arrays) != n:
        raise WrongAnswer(f"{name}: got {kind(arrays)}; expected a list of {n} arrays")
    for i, array in enumerate(arrays):
        yield f"{name} [{i}]", array


def direction_is_kept(case: Case, outputs: Outputs) -> bool:
    """Return whether all arrays are scaled by the same factor, which is at most 1."""
    factors = [
        np.vdot(np.asarray(outputs[f"clipped [{i}]"]), g) / np.vdot(g, g)
        for i, g in enumerate(case.inputs["gradients"])
    ]
    return max(factors) - min(factors) < 1e-9 and max(factors) <= 1.0 + 1e-9


EXERCISE = Exercise(
    15,
    "Steady training: clip, accumulate, warm up",
    ("clip", "accumulate", "gradient_of_step", "learning_rate"),
    cases,
    run,
    ("clipped [0]", "clipped [1]", "clipped [2]", "norm"),
    invariants={
        "clipped [0]": (
            "all arrays must be scaled by one factor of at most 1, so that the direction does not change",
            direction_is_kept,
        )
    },
    ratios={**SIZES, "3 micro-batches": 3.0, "30 targets": 30.0},
    tolerance=1e-6,  # the norm may have a small number added to it before the division
    hints={
        "clip": (
            "Treat all arrays as one long vector: first its length, then one factor for all of it.",
            "Add up the squares of all numbers in all arrays; take one square root at the end.",
            "The factor is max_norm / norm, but never more than 1.",
        ),
        "accumulate": (
            "A mean over all targets is not the mean of the means if the counts differ.",
            "counts[i] times a mean is a sum, and the sums of micro-batches can be added.",
            "Weight each micro-batch by counts[i] / sum(counts).",
        ),
        "gradient_of_step": (
            "You have both halves already.",
            "The norm that matters is that of the gradient that the step uses.",
            "Accumulate first, clip once at the end.",
        ),
        "learning_rate": (
            "Three cases: warm-up, decay, after the last step.",
            "Let `progress` run from 0 at step warmup_steps to 1 at step max_steps.",
            "(1 + cos(π progress)) / 2 falls from 1 to 0; scale it so that it falls from peak to floor.",
        ),
    },
)
