"""Picking the next token from its scores: temperature, top-k, and one uniform number.

Source: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation" (2018), section 5.1 (top-k),
https://arxiv.org/abs/1805.04833; the draw inverts the cumulative distribution.
"""

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.ops import softmax
from scratchgpt.shapes import Array


def sample(scores: Array, temperature: float, top_k: int | None, uniform: float) -> int:
    """Return a token id, given the scores (V,) of the next token.

    Args:
        scores: the logits.
        temperature: 0 takes the best score (greedy); 1 samples the model's own distribution;
            less than 1 sharpens it, more flattens it.
        top_k: sample among the k best only (of equal scores the lower ids first); None or 0: among all.
        uniform: a number in [0, 1) that decides (not used when greedy).

    Raises:
        InputError: a score that is not finite.
    """
    if not np.isfinite(scores).all():
        raise InputError(NOT_FINITE)
    if temperature == 0.0:
        return int(scores.argmax())
    scores = scores.astype(np.float64)
    if top_k and top_k < len(scores):
        scores = np.where(best(scores, top_k), scores, -np.inf)
    # The maximum goes first, so that a tiny temperature cannot turn a finite score into infinity.
    return draw((scores - scores.max()) / temperature, uniform)


NOT_FINITE = "the scores of the next token are not finite; expected sound weights"


def draw(scores: Array, uniform: float) -> int:
    """Return a token id, drawn from softmax(scores); a score (V,) of -inf is never drawn."""
    probs, _ = softmax.forward(scores)
    cumulative = probs.cumsum()
    return int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))


def best(scores: Array, k: int) -> Array:
    """Return which scores are the k best: exactly k, even where scores are equal."""
    threshold = np.partition(scores, -k)[-k]
    are_best: Array = scores > threshold
    are_best[np.flatnonzero(scores == threshold)[: k - np.count_nonzero(are_best)]] = True
    return are_best
