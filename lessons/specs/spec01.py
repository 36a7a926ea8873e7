"""Exercise 01: a bigram by counting."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import Case, Exercise, Outputs, V, waves
from scratchgpt.shapes import Array

N = 41  # tokens: 40 pairs
MANY = "a pair that comes 100000 times"


def _tokens(n: int, seed: float) -> Array:
    """Return ids that repeat, among them neither 4 nor V - 1."""
    ids = np.floor(np.abs(waves(n, seed=seed)) / 1.7 * V).astype(np.int64) % (V - 1)
    return np.where(ids == 4, 0, ids)


def cases() -> list[Case]:
    """Return texts, short, longer and dull, with counts and probabilities for the other functions."""
    cases = []
    texts = {"first": _tokens(N, 1.0), "another text": _tokens(5 * N, 2.0), MANY: np.full(100_001, 3)}
    for (name, tokens), alpha, seed in zip(texts.items(), (0.5, 0.3, 0.7), (1.0, 2.0, 3.0), strict=True):
        counts = np.floor(4.0 * np.abs(waves(V, V, seed=seed))).astype(np.int64)  # with zeros in it
        probs = np.abs(waves(V, V, seed=seed + 5.0)) + 0.1
        inputs = {
            "tokens": tokens, "counts": counts, "alpha": alpha,
            "probs": probs / probs.sum(axis=1, keepdims=True),
        }  # fmt: skip
        cases.append(Case(name, inputs))
    return cases


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield what each function makes of its own inputs; they may be of any type."""
    given = case.inputs
    counts = _floats(module.count_pairs(given["tokens"], V))
    if case.name == MANY:  # more than 8 or 16 bits can count
        yield f"counts ({MANY})", counts
        return
    yield "counts", counts
    yield "P", _floats(module.probabilities(given["counts"], given["alpha"]))
    yield "NLL", module.nll(given["probs"], given["tokens"])


def _floats(returned: Any) -> Any:
    return None if returned is None else np.asarray(returned, dtype=np.float64)


def all_pairs(case: Case, outputs: Outputs) -> bool:
    """Return whether there is one count for each pair."""
    counts = next(value for name, value in outputs.items() if name.startswith("counts"))
    return bool(np.sum(counts) == len(case.inputs["tokens"]) - 1)


def rows_sum_to_one(case: Case, outputs: Outputs) -> bool:
    """Return whether each row of P is a distribution."""
    return np.ndim(outputs["P"]) > 0 and bool(np.allclose(outputs["P"].sum(axis=-1), 1.0, rtol=0, atol=1e-10))


PAIRS = "a text of N tokens has N - 1 pairs, and the counts must sum to that"

EXERCISE = Exercise(
    1,
    "A bigram by counting",
    ("count_pairs", "probabilities", "nll"),
    cases,
    run,
    ("counts", "P", "NLL", f"counts ({MANY})"),
    invariants={
        "counts": (PAIRS, all_pairs),
        f"counts ({MANY})": (PAIRS, all_pairs),
        "P": ("something comes after every token, so each row of P must sum to 1", rows_sum_to_one),
    },
    ratios={"V": float(V), "the number of pairs": N - 1.0, "ln 2": float(np.log(2.0)), "-1": -1.0},
    hints={
        "count_pairs": (
            "A pair is a token and the one right after it.",
            "tokens[:-1] are the first ones of all pairs, tokens[1:] the second ones.",
            "Begin with a table of zeros and add 1 at [a, b] for each pair: in a loop, or with np.add.at.",
        ),
        "probabilities": (
            "Row a holds what comes after a: it must sum to 1.",
            "Add alpha to the counts first, then sum the rows.",
            "Divide by sums over axis 1 with keepdims=True, so that their shape is (V, 1).",
        ),
        "nll": (
            "What probability does the table give to each pair that really occurs?",
            "probs[a, b] with two arrays of ids picks one number for each pair.",
            "The mean of minus the natural logarithms of these numbers.",
        ),
    },
)
