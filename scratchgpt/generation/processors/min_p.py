"""Min-p: forbid tokens that are much less likely than the most likely one.

Source: Nguyen et al., "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs" (2024),
section 3, https://arxiv.org/abs/2407.01082.
"""

import numpy as np

from scratchgpt.ops import softmax
from scratchgpt.shapes import Array


def process(scores: Array, p: float) -> Array:
    """Set scores to -inf where probs < p · max(probs); the most likely token always remains."""
    probs, _ = softmax.forward(scores)
    return np.where(probs < p * probs.max(), -np.inf, scores)
