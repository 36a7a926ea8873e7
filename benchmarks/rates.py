"""The machine's limits: how fast it multiplies matrices, and how fast it reads memory."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from scratchgpt.backends.base import blas_threads
from scratchgpt.backends.numpy.workers import Workers
from scratchgpt.shapes import Array

TRIES = 5  # of which the fastest counts
PRODUCTS = 10  # of a try


def matmul_rate(threads: int, n: int = 1024) -> float:
    """Return the rate of NumPy's sgemm in operations per second: (n, n) products on every thread at once."""

    def multiply(pair: Array) -> None:
        for _ in range(PRODUCTS):
            pair[0] @ pair[1]

    return 2.0 * n**3 * PRODUCTS * threads / _shortest(multiply, threads, (2, n, n))


def read_rate(threads: int, megabytes: int = 256) -> float:
    """Return the bytes per second at which NumPy reads memory.

    Each thread takes the dot product of two arrays of `megabytes` / 2: one multiply-add per element read,
    nothing written, and more data than any cache holds.
    """
    elements = megabytes * 2**20 // 8

    def dot(pair: Array) -> None:
        pair[0] @ pair[1]

    return 8.0 * elements * threads / _shortest(dot, threads, (2, elements))


def _shortest(work: Callable[[Array], Any], threads: int, shape: tuple[int, ...]) -> float:
    """Return the seconds of the fastest try; each thread works on its own array."""
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
