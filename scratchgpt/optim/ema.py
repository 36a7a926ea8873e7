"""The exponential moving average (EMA) of the weights. It is less noisy than the weights, and often better.

    a ← d a + (1 - d) w          after each step, from a = 0
    s ← d s + (1 - d)            from s = 0: the sum of the coefficients in a
    mean = a / s

Dividing by s corrects the bias of starting at 0, like AdamW's bias correction, so the mean covers only
weights that training has reached. (The alternative, a decay that grows from step to step, needs one more
constant.) s is stored as a number, not computed as 1 - dᵗ, so that a resumed run may use another d.

Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), section 7.2, bias correction
included, https://arxiv.org/abs/1412.6980.
"""

import numpy as np

from scratchgpt.nn.params import ParamVector
from scratchgpt.optim.base import expect, zero_moments


class EMA:
    """Averages `params` on their device, without waiting for it.

    A step skipped because its gradient was not finite leaves the weights unchanged, and they are counted once
    more: only the device knows that the step was skipped.

    Attributes:
        decay: d, in [0, 1); the mean covers about 1/(1 - d) steps.
        total: a, a ParamVector.
        weight: s, 0 before the first update.
    """

    def __init__(self, params: ParamVector, decay: float = 0.999) -> None:
        expect("decay", decay, 0.0 <= decay < 1.0, "a number in [0, 1)")
        self._params = params
        self.decay = decay
        self.total = zero_moments(params)
        self.weight = 0.0

    def update(self) -> None:
        """Add the current weights to the average; call it after each step."""
        total, w = self.total.flat, self._params.flat
        total *= self.decay
        total += (1.0 - self.decay) * w.astype(total.dtype, copy=False)
        self.weight = self.decay * self.weight + (1.0 - self.decay)

    def weights(self) -> ParamVector:
        """Return a copy of the average; before the first update, a copy of the weights."""
        if self.weight == 0.0:
            return self._params.copy()
        dtype = self._params.flat.dtype
        return self.total.map(lambda flat: np.divide(flat, self.weight).astype(dtype, copy=False))
