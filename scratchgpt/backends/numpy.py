"""The `numpy` backend: NumPy on a CPU, the default. Faster pairs will replace textbook ones here."""

from scratchgpt.backends import reference
from scratchgpt.backends.base import Backend

OPS = reference.OPS


def create(threads: int | None = None) -> Backend:
    """Return the backend; `threads` limits the threads of a matrix product."""
    return Backend("numpy", OPS, threads)
