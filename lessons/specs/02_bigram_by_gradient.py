"""Exercise 02: softmax cross-entropy."""

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, Case, Outputs, T, V, waves
from lessons.kit.pair import pair
from scratchgpt.shapes import Array

FLAT, LARGE = "1-dimensional targets", "logits around 1000"
UNLIKELY, ROWS = "a target logit of -800", "rows 1000 apart"
EDGES = (FLAT, LARGE, UNLIKELY, ROWS)


def _targets(*shape: int, seed: int = 0) -> Array:
    """Return token ids; some repeat and some do not occur."""
    n = int(np.prod(shape))
    return ((np.arange(n) * 7 + seed) % 5 * 2 % V).reshape(shape)


def cases() -> list[Case]:
    """Return logits of 3, 4 and 2 dimensions, and logits that overflow or underflow in exp."""
    flat = waves(B + T, V, seed=4)
    unlikely = waves(B, T, V, seed=6)
    np.put_along_axis(unlikely, _targets(B, T)[..., None], -800.0, axis=-1)
    far = waves(B, T, V, seed=7) + np.array([1000.0, 0.0, -1000.0])[:, None, None]
    return [
        Case("first", {"logits": waves(B, T, V), "targets": _targets(B, T)}, 1.7),
        Case(
            "4-dimensional logits",
            {"logits": waves(2, B, T, V, seed=2), "targets": _targets(2, B, T, seed=1)},
            0.6,
        ),
        Case(FLAT, {"logits": flat, "targets": _targets(B + T, seed=2)}, 1.3),
        Case(LARGE, {"logits": waves(B, T, V, seed=5) + 1000.0, "targets": _targets(B, T)}, 1.7),
        Case(UNLIKELY, {"logits": unlikely, "targets": _targets(B, T)}, 1.7),
        Case(ROWS, {"logits": far, "targets": _targets(B, T)}, 1.7),
    ]


def terms(case: Case) -> dict[str, Array]:
    """Return the two terms of equation 2.5."""
    logits, targets = case.inputs["logits"], case.inputs["targets"]
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scale = case.dy / targets.size
    return {
        "prediction": scale * exp / exp.sum(axis=-1, keepdims=True),
        "target": -scale * np.eye(logits.shape[-1])[targets],
    }


def rows_sum_to_zero(case: Case, outputs: Outputs) -> bool:
    """Return whether each row of dlogits sums to 0."""
    dlogits = np.asarray(outputs["dlogits"])
    return dlogits.ndim > 0 and bool(np.abs(dlogits.sum(axis=-1)).max() < 1e-9)


_PAIR = pair(
    2,
    "The same table by gradient descent",
    cases,
    {"dlogits": "logits"},
    y=("loss",),
    terms={"dlogits": terms},
    equations={"prediction": "p/N, eq. 2.5", "target": "-onehot(y)/N, eq. 2.5"},
    invariants={
        "dlogits": (
            "adding a constant to a row of logits does not change the loss, so rows of dlogits must sum to 0",
            rows_sum_to_zero,
        )
    },
    hints={
        "forward": (
            "For each row, take the softmax and the negative log of the target's probability; then average.",
            "-ln p_y = ln Σ exp(z_v) - z_y. Subtract each row's maximum first: p is unchanged, and exp does "
            "not overflow.",
            "np.take_along_axis(a, targets[..., None], axis=-1) picks one number from each row of a. Apply "
            "it to shifted - ln Σ exp(shifted).",
        ),
        "backward": (
            "The formula is short: the predicted distribution minus the true one.",
            "dlogits = dloss · (p - onehot(target)) / N, where N is the number of targets.",
            "Copy p as (N, V), subtract 1 at [np.arange(N), targets.reshape(-1)], scale, reshape back.",
        ),
    },
)


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield loss and dlogits; cases in which only some mistakes show get their own names."""
    for output, value in _PAIR.run(module, case):
        yield (f"{output} ({case.name})" if case.name in EDGES else output), value


EXERCISE = replace(_PAIR, run=run, forward=("loss", *(f"loss ({name})" for name in EDGES)))
