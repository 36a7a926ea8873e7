"""A least length: what ends the text is impossible before.

Source: the semantics of `MinNewTokensLengthLogitsProcessor` in transformers.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, n_new: int, least: int, eos_ids: Sequence[int]) -> Array:
    """Return scores (V,) that are -inf for the end tokens while fewer than `least` tokens were generated.

    Args:
        scores: the scores (V,).
        n_new: how many tokens have been generated.
        least: how many must come before an end.
        eos_ids: the tokens that end the text.
    """
    if n_new >= least:
        return scores
    scores = scores.copy()
    scores[list(eos_ids)] = -np.inf
    return scores
