"""Exercise 01: a bigram by counting."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import Case, Exercise, Outputs, V, waves
from scratchgpt.shapes import Array

N_TOKENS = 41  # so 40 pairs
FREQUENT = "a pair that occurs 100000 times"


def _tokens(n: int, seed: float) -> Array:
    """Return repeating token ids, without 4 and V - 1."""
    ids = np.floor(np.abs(waves(n, seed=seed)) / 1.7 * V).astype(np.int64) % (V - 1)
    return np.where(ids == 4, 0, ids)


def cases() -> list[Case]:
    """Return a short, a longer and a monotonous text; counts and probabilities for the other functions."""
    cases = []
    texts = {
        "first": _tokens(N_TOKENS, 1.0),
        "another text": _tokens(5 * N_TOKENS, 2.0),
        FREQUENT: np.full(100_001, 3),
    }
    for (name, tokens), alpha, seed in zip(texts.items(), (0.5, 0.3, 0.7), (1.0, 2.0, 3.0), strict=True):
        counts = np.floor(4.0 * np.abs(waves(V, V, seed=seed))).astype(np.int64)  # some are 0
        probs = np.abs(waves(V, V, seed=seed + 5.0)) + 0.1
        inputs = {
            "tokens": tokens, "counts": counts, "alpha": alpha,
            "probs": probs / probs.sum(axis=1, keepdims=True),
        }  # fmt: skip
        cases.append(Case(name, inputs))
    return cases


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield the result of each function on its own inputs, so that one mistake does not affect the others.

    Counts and probabilities may have any dtype.
    """
    given = case.inputs
    counts = _floats(module.count_pairs(given["tokens"], V))
    if case.name == FREQUENT:  # overflows 8 and 16 bits
        yield f"counts ({FREQUENT})", counts
        return
    yield "counts", counts
    yield "P", _floats(module.probabilities(given["counts"], given["alpha"]))
    yield "NLL", module.nll(given["probs"], given["tokens"])


def _floats(returned: Any) -> Any:
    return None if returned is None else np.asarray(returned, dtype=np.float64)


def all_pairs(case: Case, outputs: Outputs) -> bool:
    """Return whether the counts sum to the number of pairs."""
    counts = next(value for name, value in outputs.items() if name.startswith("counts"))
    return bool(np.sum(counts) == len(case.inputs["tokens"]) - 1)


def rows_sum_to_one(case: Case, outputs: Outputs) -> bool:
    """Return whether each row of P sums to 1."""
    return np.ndim(outputs["P"]) > 0 and bool(np.allclose(outputs["P"].sum(axis=-1), 1.0, rtol=0, atol=1e-10))


PAIRS = "a text of N tokens has N - 1 pairs, so the counts must sum to N - 1"

EXERCISE = Exercise(
    1,
    "A bigram by counting",
    ("count_pairs", "probabilities", "nll"),
    cases,
    run,
    ("counts", "P", "NLL", f"counts ({FREQUENT})"),
    invariants={
        "counts": (PAIRS, all_pairs),
        f"counts ({FREQUENT})": (PAIRS, all_pairs),
        "P": ("each row of P is a probability distribution, so it must sum to 1", rows_sum_to_one),
    },
    ratios={"V": float(V), "the number of pairs": N_TOKENS - 1.0, "ln 2": float(np.log(2.0)), "-1": -1.0},
    hints={
        "count_pairs": (
            "A pair is a token and the one right after it.",
            "tokens[:-1] holds the first token of every pair, tokens[1:] the second.",
            "Start with a table of zeros and add 1 at [a, b] for each pair: in a loop, or with np.add.at.",
        ),
        "probabilities": (
            "Row a holds what comes after a: it must sum to 1.",
            "Add alpha to the counts first, then sum the rows.",
            "Divide by the sums over axis 1, with keepdims=True so that they have shape (V, 1).",
        ),
        "nll": (
            "What probability does the table give to each pair that occurs in the text?",
            "probs[a, b] with two arrays of ids picks one number for each pair.",
            "Return the mean of their negative natural logarithms.",
        ),
    },
)
