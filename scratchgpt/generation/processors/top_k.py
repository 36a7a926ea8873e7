"""Top-k: only the k likeliest tokens are possible.

Source: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation" (2018), section 5.1,
https://arxiv.org/abs/1805.04833.
"""

import numpy as np

from scratchgpt.ops.sampling import best
from scratchgpt.shapes import Array


def process(scores: Array, k: int) -> Array:
    """Return scores (V,) that are -inf but for the k best; of equal ones the lower ids come first.

    transformers keeps all that are equal to the k-th; here there are k, however many are equal.
    """
    return scores if k >= len(scores) else np.where(best(scores, k), scores, -np.inf)
