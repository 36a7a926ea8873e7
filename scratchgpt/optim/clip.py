"""Gradient clipping by the global norm, for a ParamVector."""

from scratchgpt.errors import InputError
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops.updates import clip


def clip_grad_norm(grads: ParamVector, max_norm: float) -> float:
    """Scale all gradients in place so that their global norm is at most `max_norm`.

    The direction does not change; gradients below the limit are left alone.

    Returns:
        The norm before clipping: √(Σ g²) over all parameters, a Python float.

    Raises:
        InputError: if `max_norm` is not positive.
    """
    if not max_norm > 0.0:
        raise InputError(f"max_norm is {max_norm!r}; expected a positive number")
    return clip.clip(grads.flat, max_norm)
