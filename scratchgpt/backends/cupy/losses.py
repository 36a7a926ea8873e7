"""Losses and gradient norms in a ring buffer on the device, read when somebody wants to know."""

import math
from collections.abc import Sequence

import cupy
import numpy as np

from scratchgpt.backends.cupy.kernels import launch
from scratchgpt.backends.losses import Losses
from scratchgpt.shapes import Array

PLACES = 1 << 16  # half a megabyte


class DeviceLosses(Losses):
    """The ring. With `may_overflow`, a norm that is not finite means a step that was left out."""

    def __init__(self, may_overflow: bool) -> None:
        super().__init__()
        self.places = PLACES
        self._may_overflow = may_overflow
        self._ring = cupy.zeros((self.places, 2), dtype=np.float32)
        self._n_noted = cupy.zeros((), dtype=np.uint32)  # on the device, where a replayed graph counts it up

    def append(self, parts: Sequence[Array], norm: Array) -> None:
        """Note a step."""
        loss = sum(parts[1:], start=parts[0])  # on the device
        arguments = (loss, norm, self._ring, self._n_noted, np.uint32(self.places))
        launch("training.cu", "note_losses", loss.dtype, (1,), (1,), arguments)

    def read(self, n_steps: int) -> list[tuple[float, float | None]]:
        """Wait for the device; return loss and gradient norm of the last `n_steps` steps, in their order."""
        last = int(self._n_noted.get())
        ring = self._ring.get()
        steps = [ring[place % self.places] for place in range(last - n_steps, last)]
        return [(float(loss), self._norm(float(norm))) for loss, norm in steps]

    def _norm(self, norm: float) -> float | None:
        return None if self._may_overflow and not math.isfinite(norm) else norm
