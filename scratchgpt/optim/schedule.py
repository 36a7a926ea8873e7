"""The learning rate over time: a linear warm-up, then one of several ways down.

Sources: "cosine" is Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017),
equation 5, one cycle without restarts, https://arxiv.org/abs/1608.03983; "wsd" (warm-up, stable, decay) is
Hu et al., "MiniCPM" (2024), section 4, https://arxiv.org/abs/2404.06395, its decay being a line here.
"""

import math
from collections.abc import Callable

from scratchgpt.errors import InputError

COOLDOWN = 0.2  # of the steps after the warm-up, at their end, in "wsd"

# How much of the way from floor to peak is left after a share of the steps after the warm-up.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
    "wsd": lambda progress: min(1.0, (1.0 - progress) / COOLDOWN),
}


def learning_rate(
    kind: str, step: int, *, peak: float, floor: float, warmup_steps: int, max_steps: int
) -> float:
    """Return the learning rate for `step`, counted from 0.

    Linear from peak/warmup_steps up to `peak` at step warmup_steps - 1, then from `peak` at step
    warmup_steps down to `floor` at step max_steps, and `floor` from there on. A constant rate stays at
    its peak.

    Args:
        kind: "constant", "linear" (down in a line), "cosine" (half a cosine), or "wsd" (`peak`, and
            a line down in the last fifth).
        step: which one.
        peak: the highest rate.
        floor: the last rate.
        warmup_steps: how many steps it takes to get to the peak; 0 starts there.
        max_steps: when the floor is reached.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in SCHEDULES:
        raise InputError(f"schedule is {kind!r}; expected one of {', '.join(SCHEDULES)}")
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = 1.0 if step >= max_steps else (step - warmup_steps) / (max_steps - warmup_steps)
    return floor + (peak - floor) * SCHEDULES[kind](progress)


def cosine_with_warmup(step: int, *, peak: float, floor: float, warmup_steps: int, max_steps: int) -> float:
    """Return the learning rate of `learning_rate("cosine", ...)`."""
    return learning_rate(
        "cosine", step, peak=peak, floor=floor, warmup_steps=warmup_steps, max_steps=max_steps
    )
