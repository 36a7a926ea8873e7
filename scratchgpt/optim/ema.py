"""The exponential moving average of the weights: often better than the last ones, as it is less noisy.

    a ← d a + (1 - d) w          after each step, from a = 0
    s ← d s + (1 - d)            from s = 0: the weights of the mean, added up
    mean = a / s

Dividing by s corrects the bias of starting from 0, as AdamW's moments are corrected: the mean is one of
the weights after steps that were taken, and of nothing else. The other way to begin, a decay that grows
from step to step, needs one more constant. s is kept as a number, not as 1 - dᵗ, so that a run may go on
with another d.

Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), section 7.2, which has the
correction, too, https://arxiv.org/abs/1412.6980.
"""

import numpy as np

from scratchgpt.nn.params import ParamVector
from scratchgpt.optim.base import expect, zero_moments


class EMA:
    """Averages `params`, where they are, without waiting for a device.

    A step that was left out, because its gradient was not finite, is a step after which the weights are what
    they were: they are counted once more. Whether it was left out only the device knows.

    Attributes:
        decay: d, in [0, 1); the mean is over about 1/(1 - d) steps.
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
        """Count the weights as they are now; to be called after each step."""
        total, w = self.total.flat, self._params.flat
        total *= self.decay
        total += (1.0 - self.decay) * w.astype(total.dtype, copy=False)
        self.weight = self.decay * self.weight + (1.0 - self.decay)

    def weights(self) -> ParamVector:
        """Return the mean, in memory of its own; before the first update the weights themselves."""
        if self.weight == 0.0:
            return self._params.copy()
        dtype = self._params.flat.dtype
        return self.total.map(lambda flat: np.divide(flat, self.weight).astype(dtype, copy=False))
