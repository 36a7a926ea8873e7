"""Clipping by the global norm.

Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks"
(2013), algorithm 1, https://arxiv.org/abs/1211.5063.
"""

import math

from scratchgpt.errors import InputError
from scratchgpt.params import ParamVector


def clip_grad_norm(grads: ParamVector, max_norm: float) -> float:
    """Scale all gradients together, in place, so that their joint norm is at most `max_norm`.

    The direction is kept; gradients that are small enough are left alone. The 1e-6 that guards
    the division is PyTorch's, so that both clip to the same last digits.

    Returns:
        The norm before clipping: √(Σ g²) over every parameter, a plain float.

    Raises:
        InputError: `max_norm` is not positive.
    """
    if not max_norm > 0.0:
        raise InputError(f"max_norm is {max_norm!r}; expected a positive number")
    norm = math.sqrt(float(grads.flat @ grads.flat))
    scale = max_norm / (norm + 1e-6)
    if scale < 1.0:
        flat = grads.flat
        flat *= scale
    return norm
