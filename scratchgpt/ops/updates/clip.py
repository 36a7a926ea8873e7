"""Gradient clipping by the global norm.

    g ← g · min(1, max_norm / (‖g‖ + 1e-6))

Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks"
(2013), algorithm 1, https://arxiv.org/abs/1211.5063. The 1e-6 guards against division by zero; it is
PyTorch's value, so both clip to the same digits.
"""

import math

from scratchgpt.shapes import Array


def clip(flat: Array, max_norm: float) -> float:
    """Scale a flat gradient in place to a norm √(Σ g²) of at most `max_norm`; return the norm before."""
    norm = math.sqrt(float(flat @ flat))
    scale = scale_to(norm, max_norm)
    if scale < 1.0:
        flat *= scale
    return norm


def scale_to(norm: float, max_norm: float) -> float:
    """Return the factor that scales `norm` down to `max_norm`; apply it only if it is below 1."""
    return max_norm / (norm + 1e-6)
