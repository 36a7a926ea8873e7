"""AdamW for a single weight, written after the formula in `ops/updates/adamw.py`, to test the real one."""

import math
from collections.abc import Sequence


def adamw(
    w: float,
    gradients: Sequence[float],
    rates: Sequence[float],
    betas: tuple[float, float],
    eps: float,
    decay: float,
) -> list[float]:
    """Return the weight after each step."""
    m = v = 0.0
    path = []
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
        w -= lr * decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        m_hat = m / (1 - betas[0] ** t)
        v_hat = v / (1 - betas[1] ** t)
        w -= lr * m_hat / (math.sqrt(v_hat) + eps)
        path.append(w)
    return path
