"""Timing in turns, so that a slow moment of the machine does not fall on one engine alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

STEPS = 5  # timed calls of a turn; one more before them is not timed
PAUSE = 0.3  # seconds between turns: PyTorch's threads keep spinning for a while after its turn


def take_turns(
    actions: Mapping[str, Callable[[], object]], turns: int, steps: int = STEPS
) -> dict[str, list[float]]:
    """Return the seconds of every timed call, by action.

    A turn is a pause, one call that is not timed and `steps` calls that are; then the next action has a turn.
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
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    def text(self, digits: int) -> str:
        """Return the median, and the quartiles on the next line."""
        return f"{self.median:,.{digits}f}\n{self.low:,.{digits}f}–{self.high:,.{digits}f}"


def spread(values: Sequence[float], scale: float = 1.0) -> Spread:
    """Return median and quartiles of the values, each multiplied by `scale`."""
    low, median, high = np.percentile(np.array(values) * scale, [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def median(values: Sequence[float]) -> float:
    """Return the median of the values."""
    return spread(values).median
