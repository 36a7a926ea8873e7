"""Exercise 09: attention, forward."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, Case, D, Exercise, H, Outputs, S, T, V, far_scores, waves
from lessons.kit.pair import unpacked
from scratchgpt.shapes import Array

LABELS = {  # what is appended to the names of the results in these cases
    "more keys than queries": ", S > T",
    "one query and a cache": ", T = 1",
    "values of another width": ", wide v",
    "scores around 1000": ", large scores",
    "scores far apart": ", far scores",
}


def cases() -> list[Case]:
    """Return as many keys as queries, more keys, one query, wide values, large scores, scores far apart."""
    q, k, v = waves(B, H, T, D), waves(B, H, T, D, seed=2), waves(B, H, T, D, seed=3)
    k_long, v_long = waves(B, H, S, D, seed=4), waves(B, H, S, D, seed=5)
    return [
        Case("first", {"q": q, "k": k, "v": v}),
        Case("more keys than queries", {"q": q, "k": k_long, "v": v_long}),
        Case("one query and a cache", {"q": q[:, :, :1], "k": k_long, "v": v_long}),
        Case("values of another width", {"q": q, "k": k, "v": waves(B, H, T, V, seed=6)}),
        Case("scores around 1000", {"q": q, "k": k + 2000.0, "v": v}),
        Case("scores far apart", far_scores()),
    ]


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield probs and y, and for the first case which position influences which."""
    label = LABELS.get(case.name, "")
    y, probs = _forward(module, case.inputs)
    yield f"probs{label}", probs
    yield f"y{label}", y
    if not label:
        yield "influence", influence(module, case.inputs, np.asarray(y))


def influence(module: ModuleType, inputs: dict[str, Any], y: Array) -> Array:
    """Return a matrix (T, T): 1 at [t, s] if y at position t changes when q, k and v change at position s."""
    n_time = y.shape[2]
    sees = np.zeros((n_time, n_time))
    for s in range(n_time):
        changed = {}
        for name, value in inputs.items():
            changed[name] = value.copy()
            changed[name][:, :, s] += 0.5
        other, _ = _forward(module, changed)
        sees[:, s] = (np.abs(other - y) > 1e-6).any(axis=(0, 1, 3))
    return sees


def _forward(module: ModuleType, inputs: dict[str, Any]) -> tuple[Any, Any]:
    y, probs = unpacked(module.forward(**inputs), "forward", ("y", "probs"))
    return y, probs


def weights_sum_to_one(case: Case, outputs: Outputs) -> bool:
    """Return whether the weights of each query sum to 1."""
    return bool(np.allclose(np.asarray(outputs["probs"]).sum(axis=-1), 1.0, rtol=0, atol=1e-9))


def the_future_is_hidden(case: Case, outputs: Outputs) -> bool:
    """Return whether no position influences an earlier one."""
    return not np.triu(np.asarray(outputs["influence"]), 1).any()


EXERCISE = Exercise(
    9,
    "Attention is a weighted average",
    ("forward",),
    cases,
    run,
    (*(f"{name}{label}" for label in ("", *LABELS.values()) for name in ("probs", "y")), "influence"),
    invariants={
        "probs": ("the weights of each query must sum to 1, or y is not an average", weights_sum_to_one),
        "influence": (
            "row t shows which positions y at position t depends on: it must not depend on a later one",
            the_future_is_hidden,
        ),
    },
    hints={
        "forward": (
            "Three steps: scores from q and k, weights from the scores, the average of v from the weights.",
            "q @ k.swapaxes(2, 3) has shape (B, H, T, S). Divide by √D; put -inf where the key is masked.",
            "np.tri(T, S, S - T, dtype=bool) is True where query t may attend to key s; then softmax over "
            "the last axis (subtract each row's maximum first), then probs @ v.",
        ),
    },
)
