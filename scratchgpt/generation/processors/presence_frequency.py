"""Presence and frequency penalties: lower the scores of tokens that were already generated.

Source: OpenAI's API reference, "Frequency and presence penalties"; vLLM counts the same tokens.
"""

from collections.abc import Sequence

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, new_ids: Sequence[int], presence: float, frequency: float) -> Array:
    """Return s - presence · [c > 0] - frequency · c for every token, where c is how often it was generated.

    Args:
        scores: the scores (V,).
        new_ids: the tokens generated so far, without the prompt.
        presence: subtracted once.
        frequency: subtracted per occurrence. Negative values make repetition likelier.
    """
    counts = np.bincount(np.array(new_ids, dtype=np.int64), minlength=len(scores))[: len(scores)]
    return scores - presence * (counts > 0) - frequency * counts
