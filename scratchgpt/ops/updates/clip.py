"""Clipping by the global norm.

    g ← g · min(1, max_norm / (‖g‖ + 1e-6))

Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks"
(2013), algorithm 1, https://arxiv.org/abs/1211.5063. The 1e-6 that guards the division is PyTorch's,
so that both clip to the same last digits.
"""

import math

from scratchgpt.shapes import Array


def clip(flat: Array, max_norm: float) -> float:
    """Scale a flat vector in place so that its norm √(Σ g²) is at most `max_norm`; return the norm before."""
    norm = math.sqrt(float(flat @ flat))
    scale = scale_to(norm, max_norm)
    if scale < 1.0:
        flat *= scale
    return norm


def scale_to(norm: float, max_norm: float) -> float:
    """Return the factor of a vector whose norm is to be at most `max_norm`; it acts where it is below 1."""
    return max_norm / (norm + 1e-6)
