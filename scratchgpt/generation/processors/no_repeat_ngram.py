"""No repeated n-grams: forbid a token that would repeat n tokens in a row.

Source: Paulus, Xiong, Socher, "A Deep Reinforced Model for Abstractive Summarization" (2017), section 2.5,
https://arxiv.org/abs/1705.04304; there n = 3.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, ids: Sequence[int], n: int) -> Array:
    """Set the scores of all tokens that have already followed the last n - 1 tokens to -inf.

    Args:
        scores: the scores (V,).
        ids: the text so far, prompt included.
        n: length of the n-grams, at least 1; with 1 no token occurs twice.
    """
    if len(ids) < n:
        return scores
    ngrams = np.lib.stride_tricks.sliding_window_view(np.array(ids), n)  # (len(ids) - n + 1, n)
    last = ids[len(ids) - n + 1 :]
    followers = ngrams[(ngrams[:, :-1] == last).all(axis=1), -1]
    scores = scores.copy()
    scores[followers[followers < len(scores)]] = -np.inf
    return scores
