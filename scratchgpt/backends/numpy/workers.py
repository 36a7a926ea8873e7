"""Several cores at work on one batch: how it is cut, and the threads that work on the pieces.

NumPy gives up Python's lock while it computes, so threads that each run whole passes keep all cores
busy, element-wise work included; BLAS inside them uses one thread. The cut depends on the shapes
alone, never on the number of threads, and so do the results.
"""

import contextvars
import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TOKENS = 512  # of a micro-batch, about, unless a row has more: for the cache's sake
LARGE = 50_000_000  # parameters: from there on half as many tokens, whose activations take half the memory
SMALL = 50_000_000  # tokens times parameters: below, threads would mostly wait for each other, so one piece


def micro_batches(n_rows: int, n_time: int, n_params: int) -> list[slice]:
    """Cut a batch of `n_rows` texts of `n_time` tokens into micro-batches: slices of rows, about equal.

    Two or four threads should have equal shares, so there are one, two or a multiple of four.
    """
    n_tokens = n_rows * n_time
    most = TOKENS if n_params < LARGE else TOKENS // 2
    if n_tokens * n_params < SMALL:
        n_parts = 1
    elif n_tokens <= 2 * most:
        n_parts = 2
    else:
        n_parts = 4 * math.ceil(n_tokens / (4 * most))
    n_parts = min(n_rows, n_parts)
    bounds = [n_rows * part // n_parts for part in range(n_parts + 1)]
    return [slice(start, end) for start, end in itertools.pairwise(bounds)]


class Workers:
    """The thread that asks and others that help it, started when they are first needed."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `[function(item) for item in items]`, computed side by side.

        The calling thread takes its share: it is awake already, while to wake another takes longer than
        many a small item. After an exception no further item is begun.
        """
        items = list(items)
        if self.threads == 1 or len(items) <= 1:
            return [function(item) for item in items]
        results: dict[int, Result] = {}
        waiting = deque(enumerate(items))

        def work() -> None:
            """Take one item after the other, until none is left."""
            while True:
                try:
                    i, item = waiting.popleft()
                except IndexError:
                    return
                try:
                    results[i] = function(item)
                except BaseException:
                    waiting.clear()
                    raise

        # Each helper runs in a copy of the caller's context, which holds numpy.errstate.
        n_helpers = min(self.threads, len(items)) - 1
        helpers = [self._helpers().submit(contextvars.copy_context().run, work) for _ in range(n_helpers)]
        try:
            work()
        finally:
            begun = [helper for helper in helpers if not helper.cancel()]  # nothing is left for the others
            wait(begun)
        for helper in begun:
            helper.result()  # raises what the helper raised
        return [results[i] for i in range(len(items))]

    def _helpers(self) -> ThreadPoolExecutor:
        # A forked process has none of its parent's threads, so it starts its own.
        if self._pool is None or self._process != os.getpid():
            self._process = os.getpid()
            self._pool = ThreadPoolExecutor(self.threads - 1, thread_name_prefix="scratchgpt")
        return self._pool
