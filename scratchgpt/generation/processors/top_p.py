"""Top-p (nucleus sampling): forbid all but the most likely tokens whose probabilities sum to p.

Source: Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020), section 3.1, equation 2,
https://arxiv.org/abs/1904.09751.
"""

from scratchgpt.generation.processors.mass import keep_first
from scratchgpt.shapes import Array


def process(scores: Array, p: float) -> Array:
    """Set scores to -inf except for the smallest set of most likely tokens with Σ probs ≥ p.

    Among equal scores, lower ids come first. The most likely token always remains.
    """
    return keep_first(scores, (-scores).argsort(kind="stable"), p)
