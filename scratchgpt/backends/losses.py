"""The losses of training steps, kept until they are read."""

import sys
from collections.abc import Sequence
from typing import Any


class Losses:
    """A record of (loss, gradient norm) per step. On a GPU it is a ring buffer, so that no step has to wait.

    Attributes:
        capacity: how many unread steps it holds; read them before appending more.
    """

    capacity = sys.maxsize

    def __init__(self) -> None:
        self._unread: list[tuple[float, float | None]] = []

    def append(self, parts: Sequence[Any], norm: Any) -> None:
        """Record a step: the parts of its loss, one for each micro-batch, and the norm of its gradient."""
        self._unread.append((sum(float(part) for part in parts), float(norm)))

    def read(self, n_steps: int) -> list[tuple[float, float | None]]:
        """Return loss and gradient norm of the last `n_steps` steps, oldest first; each can be read once.

        The norm is None for a step that was skipped because its gradient overflowed (loss scaling).
        """
        unread, self._unread = self._unread, []
        return unread[len(unread) - n_steps :]
