"""Banned sequences: forbid the token that would complete one.

Source: the semantics of `NoBadWordsLogitsProcessor` in transformers.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, ids: Sequence[int], sequences: Sequence[Sequence[int]]) -> Array:
    """Set the score of a sequence's last token to -inf if the text ends with the tokens before it.

    Args:
        scores: the scores (V,).
        ids: the text so far, prompt included; a sequence may start in the prompt.
        sequences: one or more token ids each; a sequence of one forbids that token everywhere.
    """
    scores = scores.copy()
    for *others, last in sequences:
        if len(others) <= len(ids) and list(ids[len(ids) - len(others) :]) == others:
            scores[last] = -np.inf
    return scores
