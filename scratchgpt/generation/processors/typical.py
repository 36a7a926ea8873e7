"""Locally typical sampling: only tokens about as surprising as is to be expected are possible.

Source: Meister et al., "Locally Typical Sampling" (2023), section 4, https://arxiv.org/abs/2202.00666.
"""

import numpy as np

from scratchgpt.generation.processors.mass import keep_first
from scratchgpt.ops import softmax
from scratchgpt.shapes import Array


def process(scores: Array, mass: float) -> Array:
    """Return scores (V,) that are -inf but for the fewest most typical tokens with Σ probs ≥ mass.

    A token is the more typical, the smaller | -log p - H | is: the distance of its information from the
    entropy H = -Σ p log p. Of equally typical tokens the lower ids come first.
    """
    probs, _ = softmax.forward(scores)
    possible = probs > 0
    information = np.full_like(probs, np.inf)
    information[possible] = -np.log(probs[possible])
    entropy = (probs[possible] * information[possible]).sum()
    return keep_first(scores, np.abs(information - entropy).argsort(kind="stable"), mass)
