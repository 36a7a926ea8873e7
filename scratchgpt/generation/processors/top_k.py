"""Top-k: forbid all but the k most likely tokens.

Source: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation" (2018), section 5.1,
https://arxiv.org/abs/1805.04833.
"""

import numpy as np

from scratchgpt.ops.sampling import best
from scratchgpt.shapes import Array


def process(scores: Array, k: int) -> Array:
    """Set all scores but the k highest to -inf; among equal scores, lower ids come first.

    transformers keeps every token that ties with the k-th; here exactly k remain.
    """
    return scores if k >= len(scores) else np.where(best(scores, k), scores, -np.inf)
