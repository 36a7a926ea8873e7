"""What this machine can do at best: matrix products, and reading memory."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from scratchgpt.backends.base import blas_threads
from scratchgpt.backends.numpy.workers import Workers
from scratchgpt.shapes import Array

TRIES = 5


def matmul_rate(threads: int, n: int = 1024) -> float:
    """Return NumPy's sgemm in operations per second: products of (n, n), side by side on the threads."""
    repeats = 10

    def products(pair: Array) -> None:
        for _ in range(repeats):
            pair[0] @ pair[1]

    return 2.0 * n**3 * repeats * threads / _best(products, threads, (2, n, n))


def read_rate(threads: int, megabytes: int = 256) -> float:
    """Return the bytes per second at which NumPy reads memory.

    Each thread takes dot products of two arrays of `megabytes` / 2: as much arithmetic as reading, nothing
    written, and more data than any cache holds.
    """
    elements = megabytes * 2**20 // 8

    def dot(pair: Array) -> None:
        pair[0] @ pair[1]

    return 8.0 * elements * threads / _best(dot, threads, (2, elements))


def _best(work: Callable[[Array], Any], threads: int, shape: tuple[int, ...]) -> float:
    """Return the shortest of some tries, in seconds; every thread has an array of its own to work on."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape, dtype=np.float32) for _ in range(threads)]
    workers = Workers(threads)
    seconds = []
    with blas_threads(1):
        for _ in range(TRIES):
            started = time.perf_counter()
            workers.map(work, arrays)
            seconds.append(time.perf_counter() - started)
    return min(seconds)
