"""Top-p (nucleus sampling): forbid all but the likeliest tokens whose probabilities sum to p.

Source: Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020), section 3.1, equation 2,
https://arxiv.org/abs/1904.09751.
"""

from scratchgpt.generation.processors.mass import keep_first
from scratchgpt.shapes import Array


def process(scores: Array, p: float) -> Array:
    """Set scores to -inf except for the smallest set of likeliest tokens with Σ probs ≥ p.

    Among equal scores, lower ids come first. The likeliest token always remains.
    """
    return keep_first(scores, (-scores).argsort(kind="stable"), p)
