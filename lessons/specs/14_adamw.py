"""Exercise 14: AdamW."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, C, Case, D, Exercise, Outputs, WrongAnswer, waves
from lessons.kit.pair import unpacked

N_STEPS = 4
SETTINGS = {"lr": 5e-4, "betas": (0.9, 0.97), "eps": 0.1, "weight_decay": 0.3}


def cases() -> list[Case]:
    """Return a matrix, a vector and a 3-dimensional array; the first case has gradients for four steps, too.

    The learning rate is small, so that decay before the update and decay after it, which are both in use,
    agree to 1e-6.
    """
    gradients = tuple(waves(D, C, seed=20 + i) * (0.3 + 0.4 * i) for i in range(N_STEPS))
    short = tuple(waves(C, seed=30 + i) * (1.2 - 0.2 * i) for i in range(N_STEPS))
    matrix = {
        "w": waves(D, C),
        "g": waves(D, C, seed=2),
        "m": waves(D, C, seed=3) * 0.5,
        "v": waves(D, C, seed=4) ** 2,
        "t": 3,
        "weights": (waves(D, C, seed=5), waves(C, seed=6)),
        "gradients": tuple(zip(gradients, short, strict=True)),
        "of": "",
    }
    vector = {name: waves(C, seed=seed) for seed, name in enumerate("wgm", start=7)}
    stack = {name: waves(B, D, C, seed=seed) for seed, name in enumerate("wgm", start=11)}
    return [
        Case("first", matrix),
        Case(
            "a vector, which does not decay",
            {**matrix, **vector, "v": waves(C, seed=10) ** 2, "t": 2, "of": " of a vector"},
        ),
        Case(
            "an array of three axes",
            {**matrix, **stack, "v": waves(B, D, C, seed=14) ** 2, "t": 5, "of": " of three axes"},
        ),
    ]


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the results of one step in the middle of a run, then of four steps from the start."""
    inputs = case.inputs
    taken = unpacked(module.step(*(inputs[name] for name in "wgmvt"), **SETTINGS), "step", ("w", "m", "v"))
    yield from zip((f"{name}{inputs['of']}" for name in "wmv"), taken, strict=True)
    if inputs["of"]:
        return
    weights, state = list(inputs["weights"]), None
    for number, gradients in enumerate(inputs["gradients"], start=1):
        returned = module.update(weights, list(gradients), state, **SETTINGS)
        taken, state = unpacked(returned, "update", ("weights", "state"))
        weights = list(taken)
        if len(weights) != 2:
            raise WrongAnswer(f"update returned {len(weights)} weights; expected {len(inputs['weights'])}")
        yield f"matrix, step {number}", weights[0]
        yield f"vector, step {number}", weights[1]


def moments_lag(case: Case, outputs: Outputs) -> bool:
    """Return whether m lies between its old value and the gradient."""
    m, old, g = (np.asarray(each) for each in (outputs["m"], case.inputs["m"], case.inputs["g"]))
    return bool(((m >= np.minimum(old, g) - 1e-12) & (m <= np.maximum(old, g) + 1e-12)).all())


def squares(case: Case, outputs: Outputs) -> bool:
    """Return whether v is never negative."""
    return bool((np.asarray(outputs["v"]) >= 0.0).all())


EXERCISE = Exercise(
    14,
    "AdamW: a step of the same size in every direction",
    ("step", "update"),
    cases,
    run,
    ("w", "m", "v", *(f"{what}, step {i}" for i in range(1, N_STEPS + 1) for what in ("matrix", "vector"))),
    invariants={
        "m": ("m is a weighted mean of the old m and g, so it must lie between them", moments_lag),
        "v": ("v is a mean of squares, so it must not be negative", squares),
    },
    tolerance=1e-6,  # decay may come before the update or after it
    hints={
        "step": (
            "Four lines for the moments and their bias corrections, two for w. Return m and v uncorrected.",
            "The corrections divide by 1 - βᵗ, which is small at first and nearly 1 later.",
            "Weight decay multiplies w by 1 - lr λ and does not involve m, v or g.",
        ),
        "update": (
            "Three things must be kept from call to call: the number of steps, all m, all v.",
            "Increment the step count before using it: the first step is number 1.",
            "Increment it once per call and call step for each weight; return the new moments in the state.",
        ),
    },
)
