"""The `cupy` backend: the reference ops on CuPy arrays, with CUDA kernels in place of the expensive pairs.

CuPy is imported only when the backend is created, so the other backends work without it.
"""

import functools
import importlib
from typing import TYPE_CHECKING

from scratchgpt.errors import InputError

if TYPE_CHECKING:
    from scratchgpt.backends.base import Backend

PRECISIONS = ("float32", "tf32", "bf16", "float16")


def create(precision: str = "float32", graph: bool = False, device: int | None = None) -> "Backend":
    """Return the backend on GPU number `device` (None: the first).

    Equal arguments return the same object, except for float16, where each backend has its own loss scale.

    Raises:
        InputError: the precision is unknown, or CuPy, a driver, a GPU or a library is missing.
    """
    if precision not in PRECISIONS:
        expected = f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}"
        raise InputError(f"precision is {precision!r}; expected {expected}")
    if device is not None and (not isinstance(device, int) or isinstance(device, bool)):
        raise InputError(f"device is {device!r}; expected the index of a GPU, or null for the first")
    make = _create.__wrapped__ if precision == "float16" else _create
    return make(precision, graph, device)


@functools.cache
def _create(precision: str, graph: bool, device: int | None) -> "Backend":
    from scratchgpt.backends.cupy.device import find_device  # noqa: PLC0415 - reports a missing CuPy or GPU

    found = find_device(device)
    backend = importlib.import_module("scratchgpt.backends.cupy.backend")
    return backend.CupyBackend(found, precision, graph)
