"""Run a batch on several cores: split it into micro-batches and work on them in threads.

NumPy releases the GIL while it computes, so threads that each run a whole pass keep all cores busy, including
with element-wise work; BLAS uses a single thread in each. A large NumPy call releases and reacquires the GIL;
that is the cost of threading, and a reason to make few, large calls. The split depends on the shapes alone,
never on the number of threads, and so do the results.
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

TOKENS_PER_MICRO_BATCH = 512  # at most, so that activations stay in cache, unless a single row has more
LARGE_MODEL_PARAMS = 50_000_000  # from here on half as many tokens, whose activations take half the memory
MIN_WORK_FOR_THREADS = 50_000_000  # tokens × parameters: below, threads would mostly wait for each other


def micro_batches(n_rows: int, n_time: int, n_params: int) -> list[slice]:
    """Split a batch of `n_rows` texts of `n_time` tokens into micro-batches: slices of rows, nearly equal.

    There are one, two or a multiple of four (at most `n_rows`), so that two or four threads get equal shares.
    """
    n_tokens = n_rows * n_time
    max_tokens = TOKENS_PER_MICRO_BATCH if n_params < LARGE_MODEL_PARAMS else TOKENS_PER_MICRO_BATCH // 2
    if n_tokens * n_params < MIN_WORK_FOR_THREADS:
        n_parts = 1
    elif n_tokens <= 2 * max_tokens:
        n_parts = 2
    else:
        n_parts = 4 * math.ceil(n_tokens / (4 * max_tokens))
    n_parts = min(n_rows, n_parts)
    bounds = [n_rows * part // n_parts for part in range(n_parts + 1)]
    return [slice(start, end) for start, end in itertools.pairwise(bounds)]


class Workers:
    """The calling thread plus `threads` - 1 helpers, which are started when they are first needed."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `[function(item) for item in items]`, with the calls running in parallel.

        The calling thread works, too: it is awake already, and waking another one can take longer than a
        small item. After an exception no further item is started.
        """
        items = list(items)
        if self.threads == 1 or len(items) <= 1:
            return [function(item) for item in items]
        results: dict[int, Result] = {}
        waiting = deque(enumerate(items))

        def work() -> None:
            """Take items one by one until none is left."""
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
            started = [helper for helper in helpers if not helper.cancel()]  # the others would find no items
            wait(started)
        for helper in started:
            helper.result()  # re-raises the helper's exception
        return [results[i] for i in range(len(items))]

    def _helpers(self) -> ThreadPoolExecutor:
        # A forked process inherits none of its parent's threads, so it starts its own.
        if self._pool is None or self._process != os.getpid():
            self._process = os.getpid()
            self._pool = ThreadPoolExecutor(self.threads - 1, thread_name_prefix="scratchgpt")
        return self._pool
