"""Learning rate schedules: a linear warm-up, then one of several decays.

Sources: "cosine" is Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017),
equation 5, one cycle without restarts, https://arxiv.org/abs/1608.03983; "wsd" (warm-up, stable, decay) is
Hu et al., "MiniCPM" (2024), section 4, https://arxiv.org/abs/2404.06395, here with a linear decay.
"""

import math
from collections.abc import Callable

from scratchgpt.errors import InputError

COOLDOWN = 0.2  # "wsd": the last share of the steps after the warm-up, in which the rate decays

# From progress (0 at the end of the warm-up, 1 at max_steps) to the height between floor (0) and peak (1).
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

    The warm-up is linear, from peak/warmup_steps to `peak` at step warmup_steps - 1. Then the rate decays
    from `peak` at step warmup_steps to `floor` at step max_steps, where it stays; "constant" stays at `peak`.

    Args:
        kind: "constant", "linear", "cosine" (half a period), or "wsd" (warm-up, stable, decay: `peak`, then a
            linear decay over the last fifth).
        step: the number of the step.
        peak: the highest rate.
        floor: the final rate.
        warmup_steps: length of the warm-up; 0 starts at the peak.
        max_steps: the step at which the floor is reached.

    Raises:
        InputError: if there is no schedule of that kind.
    """
    if kind not in SCHEDULES:
        raise InputError(f"schedule is {kind!r}; expected one of {', '.join(SCHEDULES)}")
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = 1.0 if step >= max_steps else (step - warmup_steps) / (max_steps - warmup_steps)
    return floor + (peak - floor) * SCHEDULES[kind](progress)


def cosine_with_warmup(step: int, *, peak: float, floor: float, warmup_steps: int, max_steps: int) -> float:
    """Return `learning_rate("cosine", ...)`."""
    return learning_rate(
        "cosine", step, peak=peak, floor=floor, warmup_steps=warmup_steps, max_steps=max_steps
    )
