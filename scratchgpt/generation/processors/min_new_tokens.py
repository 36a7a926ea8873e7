"""Minimum length: forbid end tokens before it.

Source: the semantics of `MinNewTokensLengthLogitsProcessor` in transformers.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, n_new: int, least: int, eos_ids: Sequence[int]) -> Array:
    """Set the scores of the end tokens to -inf until `least` tokens have been generated.

    Args:
        scores: the scores (V,).
        n_new: number of tokens generated so far.
        least: minimum number of tokens before an end token.
        eos_ids: the tokens that end the text.
    """
    if n_new >= least:
        return scores
    scores = scores.copy()
    scores[list(eos_ids)] = -np.inf
    return scores
