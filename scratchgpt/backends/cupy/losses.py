"""Losses and gradient norms in a ring buffer on the device, so that a step need not wait for them."""

import math
from collections.abc import Sequence

import cupy
import numpy as np

from scratchgpt.backends.cupy.kernels import launch
from scratchgpt.backends.losses import Losses
from scratchgpt.shapes import Array

RING_CAPACITY = 1 << 16  # steps; half a megabyte


class DeviceLosses(Losses):
    """The ring buffer. With `may_overflow` (loss scaling), a norm that is not finite is read as None."""

    def __init__(self, may_overflow: bool) -> None:
        super().__init__()
        self.capacity = RING_CAPACITY
        self._may_overflow = may_overflow
        self._ring = cupy.zeros((self.capacity, 2), dtype=np.float32)
        self._n_appended = cupy.zeros((), dtype=np.uint32)  # a replayed graph increments it

    def append(self, parts: Sequence[Array], norm: Array) -> None:
        """Record a step, on the device."""
        loss = sum(parts[1:], start=parts[0])  # on the device
        arguments = (loss, norm, self._ring, self._n_appended, np.uint32(self.capacity))
        launch("training.cu", "note_losses", loss.dtype, (1,), (1,), arguments)

    def read(self, n_steps: int) -> list[tuple[float, float | None]]:
        """Wait for the device; return loss and gradient norm of the last `n_steps` steps, oldest first."""
        last = int(self._n_appended.get())
        ring = self._ring.get()
        steps = [ring[place % self.capacity] for place in range(last - n_steps, last)]
        return [(float(loss), self._norm(float(norm))) for loss, norm in steps]

    def _norm(self, norm: float) -> float | None:
        return None if self._may_overflow and not math.isfinite(norm) else norm
