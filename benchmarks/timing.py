"""Engines take turns, so that a slow moment of the machine does not fall on one of them alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

STEPS = 5  # timed in a turn, at least, after one that is not
PAUSE = 0.3  # seconds between turns: PyTorch's threads spin on for a while after its turn


def take_turns(
    actions: Mapping[str, Callable[[], object]], turns: int, steps: int = STEPS
) -> dict[str, list[float]]:
    """Return the seconds of every timed call, by action.

    A turn is a pause, one call that is not timed, then `steps` that are; then it is the next action's turn.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(turns):
        for name, action in actions.items():
            time.sleep(PAUSE)
            action()
            for _ in range(steps):
                started = time.perf_counter()
                action()
                seconds[name].append(time.perf_counter() - started)
    return seconds


class Spread(NamedTuple):
    """A median, and the quartiles around it."""

    median: float
    low: float
    high: float

    def text(self, digits: int) -> str:
        """Return the median, and the quartiles on a line below."""
        return f"{self.median:,.{digits}f}\n{self.low:,.{digits}f}–{self.high:,.{digits}f}"


def spread(values: Sequence[float], scale: float = 1.0) -> Spread:
    """Return median and quartiles of the values, each multiplied by `scale`."""
    low, median, high = np.percentile(np.array(values) * scale, [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return spread(values).median
