"""Temperature: p ∝ exp(s / temperature).

Source: Ackley, Hinton, Sejnowski, "A Learning Algorithm for Boltzmann Machines" (1985), equation 5.
"""

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, temperature: float) -> Array:
    """Return (s - max s) / temperature for scores (V,), one of which must be finite.

    The maximum, which changes no probability, goes first, so that a tiny temperature cannot turn all scores
    into infinity.

    Args:
        scores: the scores (V,).
        temperature: a positive number; less than 1 sharpens the distribution, more flattens it.
    """
    with np.errstate(over="ignore"):  # -inf is what a large difference by a tiny temperature comes to
        return (scores - scores.max()) / temperature
