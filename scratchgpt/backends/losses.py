"""The losses of training steps, kept until somebody reads them."""

from collections.abc import Sequence
from typing import Any


class Losses:
    """A list of (loss, gradient norm). On a device it is a ring buffer, so that no step has to wait.

    Attributes:
        places: how many steps it holds; whoever takes more must read before.
    """

    places = 1 << 62

    def __init__(self) -> None:
        self._unread: list[tuple[float, float | None]] = []

    def append(self, parts: Sequence[Any], norm: Any) -> None:
        """Note a step: the parts of its loss, one for each micro-batch, and the norm of its gradient."""
        self._unread.append((sum(float(part) for part in parts), float(norm)))

    def read(self, n_steps: int) -> list[tuple[float, float | None]]:
        """Return loss and gradient norm of the last `n_steps` steps; each can be read once."""
        unread, self._unread = self._unread, []
        return unread[len(unread) - n_steps :]
