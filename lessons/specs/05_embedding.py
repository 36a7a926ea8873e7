"""Exercise 05: token and position embedding."""

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, C, Case, H, Outputs, S, T, V, waves
from lessons.kit.pair import pair
from scratchgpt.shapes import Array

# Some mistakes do not show in these cases.
EDGES = ("as many positions as tokens", "batch of one", "same token everywhere")
NAMES = ("", *(f", {name}" for name in EDGES))
TOKENS = np.array([[3, 7, 3, 0, 9], [3, 1, 9, 7, 3], [0, 9, 2, 7, 10]])  # 0, 3, 7, 9 repeat; no 4, 5, 6, 8


def cases() -> list[Case]:
    """Return tokens that repeat within a sequence and across sequences, while others never occur."""
    tables = {"wte": waves(V, C, seed=3), "wpe": waves(S, C, seed=4)}
    small = {"wte": waves(V, H, seed=3), "wpe": waves(S + 3, H, seed=4)}
    full = {"wte": waves(V, H, seed=3), "wpe": waves(T, H, seed=4)}
    one, same = np.array([[10, 0, 10, 4]]), np.full((B, T), 6)
    return [
        Case("first", {"tokens": TOKENS, **tables}, waves(B, T, C, seed=5)),
        Case("more positions", {"tokens": TOKENS[::-1, ::-1].copy(), **small}, waves(B, T, H, seed=6)),
        Case(EDGES[0], {"tokens": TOKENS, **full}, waves(B, T, H, seed=7)),
        Case(EDGES[1], {"tokens": one, **small}, waves(1, 4, H, seed=8)),
        Case(EDGES[2], {"tokens": same, **small}, waves(B, T, H, seed=9)),
    ]


def terms(case: Case) -> dict[str, Array]:
    """Return the two terms of equation 5.1."""
    tokens, wte, wpe = case.inputs["tokens"], case.inputs["wte"], case.inputs["wpe"]
    rows = wte[tokens]
    return {"token": rows, "position": np.zeros_like(rows) + wpe[: tokens.shape[1]]}


def absent_rows_are_zero(case: Case, outputs: Outputs) -> bool:
    """Return whether the gradient of tokens that do not occur is 0."""
    absent = np.setdiff1d(np.arange(V), case.inputs["tokens"])
    return not np.any(np.asarray(outputs["dwte"])[absent])


def positions_sum(case: Case, outputs: Outputs) -> bool:
    """Return whether dwpe and dx have the same sum."""
    return bool(np.isclose(np.sum(outputs["dwpe"]), np.sum(case.dy), rtol=1e-9))


PAIR = pair(
    5,
    "Embedding: a lookup is a one-hot matmul",
    cases,
    {"dwte": "wte", "dwpe": "wpe"},
    y=("x",),
    terms={"x": terms},
    equations={"token": "wte[tokens], eq. 5.1", "position": "wpe[t], eq. 5.1"},
    invariants={
        "dwte": (
            "a token that does not occur does not affect the loss, so its row must be 0",
            absent_rows_are_zero,
        ),
        "dwpe": (
            "every row of dx is added to one row of dwpe, so both must have the same sum",
            positions_sum,
        ),
    },
    hints={
        "forward": (
            "An array of ids can be used as an index: wte[tokens] takes a row for each id.",
            "The row of position t is added in every sequence: let NumPy broadcast it.",
            "x = wte[tokens] + wpe[:T], with T = tokens.shape[1].",
        ),
        "backward": (
            "Each row of dx goes back to the rows it was looked up from: one in wte, one in wpe.",
            "Gradients of a row that was used several times add up; dwte[tokens] += dx does not do that.",
            "Start from zeros; np.add.at(dwte, tokens, dx) adds every row. dwpe sums dx over the batch.",
        ),
    },
)


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the results; edge cases get their own names."""
    after = f", {case.name}" if case.name in EDGES else ""
    for output, value in PAIR.run(module, case):
        yield output + after, value


EXERCISE = replace(
    PAIR,
    run=run,
    forward=tuple(f"x{after}" for after in NAMES),
    gradients={f"d{table}{after}": table for after in NAMES for table in ("wte", "wpe")},
)
