"""Temperature: p ∝ exp(s / temperature).

Source: Ackley, Hinton, Sejnowski, "A Learning Algorithm for Boltzmann Machines" (1985), equation 5.
"""

import numpy as np

from scratchgpt.shapes import Array


def process(scores: Array, temperature: float) -> Array:
    """Return (s - max s) / temperature for scores (V,), one of which must be finite.

    Subtracting the maximum changes no probability, and prevents a tiny temperature from turning all scores
    into infinity.

    Args:
        scores: the scores (V,).
        temperature: positive; below 1 sharpens the distribution, above 1 flattens it.
    """
    with np.errstate(over="ignore"):  # a large difference over a tiny temperature is -inf, as it should be
        return (scores - scores.max()) / temperature
