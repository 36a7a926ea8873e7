"""Softmax over the last axis: p = exp(x) / Σ exp(x).

Source: Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs"
(1990). Its Jacobian is diag(p) - p pᵀ.
"""

from typing import NamedTuple

import numpy as np

from scratchgpt.shapes import AnyM, Array


class Saved(NamedTuple):
    """What backward needs: only the output, because the Jacobian is a function of it."""

    probs: AnyM


def forward(x: AnyM) -> tuple[AnyM, Saved]:
    """Turn every row of scores into probabilities.

    Subtracting the row's maximum changes nothing in exact arithmetic and keeps exp from overflowing.
    A score of -inf becomes probability 0; every row needs at least one finite score.
    """
    exp: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    probs = exp / exp.sum(axis=-1, keepdims=True)
    return probs, Saved(probs)


def backward(saved: Saved, dprobs: AnyM) -> tuple[AnyM]:
    """Return dx = p ∘ (dp - Σ p ∘ dp): the vector-Jacobian product, without building the Jacobian.

    Σ p ∘ dp is the mean of dp when tokens are drawn with the probabilities p.
    """
    (probs,) = saved
    mean = (probs * dprobs).sum(axis=-1, keepdims=True)
    return (probs * (dprobs - mean),)
