"""Top-p, or nucleus sampling: only the likeliest tokens are possible that together have probability p.

Source: Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020), section 3.1, equation 2,
https://arxiv.org/abs/1904.09751.
"""

from scratchgpt.generation.processors.mass import keep_first
from scratchgpt.shapes import Array


def process(scores: Array, p: float) -> Array:
    """Return scores (V,) that are -inf but for the fewest likeliest tokens with Σ probs ≥ p.

    Of equal scores the lower ids come first. The likeliest token always remains.
    """
    return keep_first(scores, (-scores).argsort(kind="stable"), p)
