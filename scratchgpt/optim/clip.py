"""Clipping the gradients of all parameters together."""

from scratchgpt.errors import InputError
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops.updates import clip


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
    return clip.clip(grads.flat, max_norm)
