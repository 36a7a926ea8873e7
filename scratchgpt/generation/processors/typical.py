"""Locally typical sampling: forbid tokens that are much more or less surprising than expected.

Source: Meister et al., "Locally Typical Sampling" (2023), section 4, https://arxiv.org/abs/2202.00666.
"""

import numpy as np

from scratchgpt.generation.processors.mass import keep_first
from scratchgpt.ops import softmax
from scratchgpt.shapes import Array


def process(scores: Array, mass: float) -> Array:
    """Set scores to -inf except for the smallest set of most typical tokens with Σ probs ≥ mass.

    A token is typical if its information is close to the entropy H = -Σ p log p, that is, if | -log p - H |
    is small. Among equally typical tokens, lower ids come first.
    """
    probs, _ = softmax.forward(scores)
    possible = probs > 0
    information = np.full_like(probs, np.inf)
    information[possible] = -np.log(probs[possible])
    entropy = (probs[possible] * information[possible]).sum()
    return keep_first(scores, np.abs(information - entropy).argsort(kind="stable"), mass)
