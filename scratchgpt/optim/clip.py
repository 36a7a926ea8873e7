"""Clipping by the global norm.

Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks"
(2013), algorithm 1, https://arxiv.org/abs/1211.5063.
"""

import math

from scratchgpt.errors import InputError
from scratchgpt.params import ParamVector


def clip_grad_norm(grads: ParamVector, max_norm: float) -> float:
    """Scale all gradients together, in place, so that their joint norm is at most `max_norm`.

    The direction is kept; gradients that are small enough are left alone.

    Returns:
        The norm before clipping: √(Σ g²) over every parameter, a plain float.

    Raises:
        InputError: `max_norm` is not positive.
    """
    if not max_norm > 0.0:
        raise InputError(f"max_norm is {max_norm!r}; expected a positive number")
    norm = math.sqrt(float(grads.flat @ grads.flat))
    if norm > max_norm:
        flat = grads.flat
        flat *= max_norm / norm
    return norm
