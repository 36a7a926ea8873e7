"""Repetition penalty: make tokens that already occur in the text less likely.

Source: Keskar et al., "CTRL: A Conditional Transformer Language Model for Controllable Generation" (2019),
section 4.1, https://arxiv.org/abs/1909.05858. There every score is divided; dividing a
negative score would raise it, so it is multiplied instead, as in transformers.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, ids: Sequence[int], penalty: float) -> Array:
    """Replace the score s of every token in the text by s / penalty, or by s · penalty if s < 0.

    Args:
        scores: the scores (V,).
        ids: the text so far, prompt included; how often a token occurs makes no difference.
        penalty: above 1 discourages repetition, below 1 encourages it.
    """
    seen = np.bincount(ids, minlength=len(scores))[: len(scores)] > 0
    penalized = np.where(scores < 0, scores * penalty, scores / penalty)
    return np.where(seen, penalized, scores)
