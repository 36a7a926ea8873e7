"""The first tokens of some order that together reach a probability: shared by top-p and typical sampling."""

import numpy as np

from scratchgpt.ops import softmax
from scratchgpt.shapes import Array


def keep_first(scores: Array, order: Array, mass: float) -> Array:
    """Return scores (V,) that are -inf but for the fewest tokens of the order that together have the mass.

    Args:
        scores: the scores (V,).
        order: the ids (V,), first the one to keep in any case.
        mass: a probability in (0, 1]; a token is kept if those before it have less.
    """
    probs, _ = softmax.forward(scores[order])
    before = np.concatenate([[0.0], probs.cumsum()[:-1]])
    kept = order[before < mass]
    narrowed = np.full_like(scores, -np.inf)
    narrowed[kept] = scores[kept]
    return narrowed
