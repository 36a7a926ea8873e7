"""Truncation by probability mass, which top-p and typical sampling share."""

import numpy as np

from scratchgpt.ops import softmax
from scratchgpt.shapes import Array


def keep_first(scores: Array, order: Array, mass: float) -> Array:
    """Set scores to -inf except for the shortest prefix of `order` whose probabilities sum to `mass`.

    Args:
        scores: the scores (V,).
        order: all ids (V,); the first is always kept.
        mass: in (0, 1]; a token is kept if the tokens before it sum to less.
    """
    probs, _ = softmax.forward(scores[order])
    before = np.concatenate([[0.0], probs.cumsum()[:-1]])
    kept = order[before < mass]
    truncated = np.full_like(scores, -np.inf)
    truncated[kept] = scores[kept]
    return truncated
