"""The learning rate over time.

Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017),
equation 5, one cycle without restarts, https://arxiv.org/abs/1608.03983; with a linear warm-up.
"""

import math


def cosine_with_warmup(step: int, *, peak: float, floor: float, warmup_steps: int, max_steps: int) -> float:
    """Return the learning rate for `step`, counted from 0.

    Linear from peak/warmup_steps up to `peak` at step warmup_steps - 1, then half a cosine from
    `peak` at step warmup_steps down to `floor` at step max_steps, and `floor` from there on.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if step >= max_steps:
        return floor
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    return floor + (peak - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))
