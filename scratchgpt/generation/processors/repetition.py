"""Repetition penalty: whatever stands in the text already becomes less likely.

Source: Keskar et al., "CTRL: A Conditional Transformer Language Model for Controllable Generation" (2019),
section 4.1, https://arxiv.org/abs/1909.05858. There every score is divided; a negative one would grow by
that, so it is multiplied instead, as in transformers.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, ids: Sequence[int], penalty: float) -> Array:
    """Return scores (V,) where that of every token in the text is s / penalty, or s · penalty if s < 0.

    Args:
        scores: the scores (V,).
        ids: the text so far, the prompt included. How often a token is in it makes no difference.
        penalty: more than 1 discourages, less than 1 encourages.
    """
    seen = np.bincount(ids, minlength=len(scores))[: len(scores)] > 0
    penalised = np.where(scores < 0, scores * penalty, scores / penalty)
    return np.where(seen, penalised, scores)
