"""The `cupy` backend: the textbook on CuPy arrays, with CUDA kernels in place of the pairs that cost time.

CuPy is imported when the backend is asked for, so that nobody else needs it.
"""

import functools
import importlib
from typing import TYPE_CHECKING

from scratchgpt.errors import InputError

if TYPE_CHECKING:
    from scratchgpt.backends.base import Backend

PRECISIONS = ("float32", "tf32", "bf16", "float16")


@functools.cache
def create(precision: str = "float32", graph: bool = False, device: int | None = None) -> "Backend":
    """Return the backend on GPU number `device` (None: the first); the same request gets the same one.

    Raises:
        InputError: an unknown precision, or no CuPy, driver, GPU or library that would do.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"precision is {precision!r}; expected {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}"
        )
    from scratchgpt.backends.cupy.device import find_device  # noqa: PLC0415 - it says what is missing

    found = find_device(device)
    backend = importlib.import_module("scratchgpt.backends.cupy.backend")
    return backend.CupyBackend(found, precision, graph)
