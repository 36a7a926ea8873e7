"""Several cores at work on one batch: who gets which rows, and the threads that do it.

NumPy gives up Python's lock while it computes, so threads that each run whole passes keep all cores
busy, element-wise work included; BLAS inside them uses one thread. The plan depends on the shapes
alone, never on the number of threads, and so do the results.
"""

import contextvars
import itertools
import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TOKENS = 1024  # per lane at least, unless that leaves one; and per micro-batch at most, for the cache's sake
LANES = 4  # of a batch: the most threads that can share it
SMALL = 50_000_000  # tokens times parameters: below, threads would mostly wait for each other, so one lane
BIG = 20_000_000  # parameters: beyond, two lanes, because every lane has gradients of its own


def share_out(n_rows: int, n_time: int, n_params: int) -> list[list[slice]]:
    """Cut a batch of `n_rows` texts of `n_time` tokens into lanes, each a list of micro-batches.

    Micro-batches of a lane run one after the other and add into the lane's gradients; lanes may run
    side by side, and their gradients are added up in order.
    """
    n_lanes = min(n_rows, _lanes(n_rows * n_time, n_params))
    bounds = [n_rows * lane // n_lanes for lane in range(n_lanes + 1)]
    rows = max(1, TOKENS // n_time)  # of a micro-batch
    return [
        [slice(first, min(first + rows, end)) for first in range(start, end, rows)]
        for start, end in itertools.pairwise(bounds)
    ]


def _lanes(n_tokens: int, n_params: int) -> int:
    """Return into how many lanes so many tokens are worth cutting."""
    if n_tokens * n_params < SMALL:
        return 1
    if n_params > BIG:
        return 2
    return max(2, min(LANES, n_tokens // TOKENS))


class Workers:
    """A pool of threads, started when it is first needed."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `[function(item) for item in items]`, computed side by side."""
        items = list(items)
        if self.threads == 1 or len(items) == 1:
            return [function(item) for item in items]
        # A forked process has none of its parent's threads, so it starts its own.
        if self._pool is None or self._process != os.getpid():
            self._process = os.getpid()
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="scratchgpt")
        # Each call runs in a copy of the caller's context, which holds numpy.errstate.
        contexts = [contextvars.copy_context() for _ in items]
        return list(self._pool.map(lambda context, item: context.run(function, item), contexts, items))


def usable_cores() -> int:
    """Return how many cores this process may use: its affinity, and the quota of its container."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))
