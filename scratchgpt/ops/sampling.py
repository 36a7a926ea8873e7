"""Sampling the next token from its logits: temperature, top-k, and one uniform random number.

Source: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation" (2018), section 5.1 (top-k),
https://arxiv.org/abs/1805.04833; the draw inverts the cumulative distribution function.
"""

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.ops import softmax
from scratchgpt.shapes import Array


def sample(scores: Array, temperature: float, top_k: int | None, uniform: float) -> int:
    """Return the id of the next token.

    Args:
        scores: its logits (V,).
        temperature: the logits are divided by it. 0 takes the highest one (greedy decoding); 1 samples
            from the model's distribution; below 1 sharpens the distribution, above 1 flattens it.
        top_k: sample from the k highest logits only (ties go to the lower id); None or 0 means all.
        uniform: the random number in [0, 1) that decides; greedy decoding ignores it.

    Raises:
        InputError: a logit is NaN or infinite.
    """
    if not np.isfinite(scores).all():
        raise InputError(NOT_FINITE)
    if temperature == 0.0:
        return int(scores.argmax())
    scores = scores.astype(np.float64)
    if top_k and top_k < len(scores):
        scores = np.where(best(scores, top_k), scores, -np.inf)
    # Subtract the maximum before dividing: a tiny temperature could overflow a finite score.
    return draw((scores - scores.max()) / temperature, uniform)


NOT_FINITE = (
    "the scores of the next token are not finite: the weights contain NaN or inf, or the pass overflowed"
)


def draw(scores: Array, uniform: float) -> int:
    """Return a token id drawn from softmax(scores), scores (V,); a token with score -inf is never drawn."""
    probs, _ = softmax.forward(scores)
    cumulative = probs.cumsum()
    return int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))


def best(scores: Array, k: int) -> Array:
    """Return a boolean mask (V,) of the k highest scores: exactly k, with ties going to the lower ids."""
    threshold = np.partition(scores, -k)[-k]
    are_best: Array = scores > threshold
    are_best[np.flatnonzero(scores == threshold)[: k - np.count_nonzero(are_best)]] = True
    return are_best
