"""Banned sequences: the token that would complete one is impossible.

Source: the semantics of `NoBadWordsLogitsProcessor` in transformers.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, ids: Sequence[int], sequences: Sequence[Sequence[int]]) -> Array:
    """Return scores (V,) that are -inf for the last token of each sequence whose others have just come.

    Args:
        scores: the scores (V,).
        ids: the text so far, the prompt included: a sequence may begin in it.
        sequences: of one or more token ids each; one alone is never possible.
    """
    scores = scores.copy()
    for *others, last in sequences:
        if len(others) <= len(ids) and list(ids[len(ids) - len(others) :]) == others:
            scores[last] = -np.inf
    return scores
