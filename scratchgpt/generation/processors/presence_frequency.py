"""Presence and frequency penalties: tokens that were generated lose some of their score.

Source: OpenAI's API reference, "Frequency and presence penalties"; vLLM counts the same tokens.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, new_ids: Sequence[int], presence: float, frequency: float) -> Array:
    """Return s - presence · [c > 0] - frequency · c for every token, of which c have been generated.

    Args:
        scores: the scores (V,).
        new_ids: the tokens generated so far; those of the prompt do not count.
        presence: what a token loses once.
        frequency: what it loses each time. Negative numbers encourage.
    """
    counts = np.bincount(np.array(new_ids, dtype=np.int64), minlength=len(scores))[: len(scores)]
    return scores - presence * (counts > 0) - frequency * counts
