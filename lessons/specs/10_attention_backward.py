"""Exercise 10: attention, forward and backward."""

from typing import Any

import numpy as np

from lessons.kit.exercise import B, Case, D, H, Outputs, S, T, far_scores, waves
from lessons.kit.pair import pair
from scratchgpt.shapes import Array


def cases() -> list[Case]:
    """Return as many keys as queries, more keys, large scores, scores far apart."""
    q, k, v = waves(B, H, T, D), waves(B, H, T, D, seed=2), waves(B, H, T, D, seed=3)
    k_long, v_long = waves(B, H, S, D, seed=4), waves(B, H, S, D, seed=5)
    dy = waves(B, H, T, D, seed=6, mean=0.2)
    return [
        Case("first", {"q": q, "k": k, "v": v}, dy),
        Case("more keys than queries", {"q": q, "k": k_long, "v": v_long}, dy),
        Case("scores around 1000", {"q": q, "k": k + 2000.0, "v": v}, dy),
        Case("scores far apart", far_scores(), waves(B, H, T, 16, seed=6, mean=0.2)),
    ]


def dscores(case: Case) -> dict[str, Array]:
    """Return the two terms of equation 10.3, which add up to the gradient of the scores."""
    q, k, v = (case.inputs[name] for name in ("q", "k", "v"))
    n_query, n_key = q.shape[2], k.shape[2]
    scores = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3])
    scores = np.where(np.tri(n_query, n_key, n_key - n_query, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probs = weights / weights.sum(axis=-1, keepdims=True)
    a = probs * (case.dy @ v.swapaxes(2, 3))
    return {"numerator": a, "denominator": -probs * a.sum(axis=-1, keepdims=True)}


def terms_of_dq(case: Case) -> dict[str, Array]:
    """Return the contributions of the two terms to dq."""
    k: Any = case.inputs["k"]
    return {name: part @ k / np.sqrt(k.shape[3]) for name, part in dscores(case).items()}


def terms_of_dk(case: Case) -> dict[str, Array]:
    """Return the contributions of the two terms to dk."""
    q: Any = case.inputs["q"]
    return {name: part.swapaxes(2, 3) @ q / np.sqrt(q.shape[3]) for name, part in dscores(case).items()}


def keys_sum_to_zero(case: Case, outputs: Outputs) -> bool:
    """Return whether dk sums to 0 over the keys."""
    dk = np.asarray(outputs["dk"])
    return bool(np.abs(dk.sum(axis=2)).max() < 1e-9 * max(1.0, float(np.abs(dk).max())))


def values_sum_to_dy(case: Case, outputs: Outputs) -> bool:
    """Return whether dv, summed over the keys, equals dy summed over the queries."""
    return bool(np.allclose(np.asarray(outputs["dv"]).sum(axis=2), case.dy.sum(axis=2), rtol=0, atol=1e-9))


EXERCISE = pair(
    10,
    "Attention backward is matmul and softmax",
    cases,
    {"dq": "q", "dk": "k", "dv": "v"},
    terms={"dq": terms_of_dq, "dk": terms_of_dk},
    equations={"numerator": "P∘dP, eq. 10.3", "denominator": "-P ΣP∘dP, eq. 10.3"},
    invariants={
        "dk": (
            "adding a vector to all keys leaves y unchanged, so dk must sum to 0 over the keys",
            keys_sum_to_zero,
        ),
        "dv": (
            "adding a vector to all values adds it to each y, so dv must have the sum of dy",
            values_sum_to_dy,
        ),
    },
    hints={
        "forward": (
            "This is the forward of lesson 9; only what it saves is new.",
            "Save q, k, v and the probabilities: backward needs all four.",
            "np.where(np.tri(T, S, S - T, dtype=bool), scores, -np.inf), softmax over the keys, then @ v.",
        ),
        "backward": (
            "Go back through y = P v, then through the softmax, then through the scores.",
            "dv = Pᵀ dy and dP = dy vᵀ; each row of dscores must sum to 0.",
            "dscores = P∘(dP - Σ P∘dP), summed over the keys; dq = dscores k / √D, dk = dscoresᵀ q / √D.",
        ),
    },
)
