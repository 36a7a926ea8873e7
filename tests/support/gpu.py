"""The device for the GPU tests: a real GPU if there is one, else the emulated one (tests/gpu_emulation)."""

import functools
import importlib.util
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest

from scratchgpt.backends import Backend, get_backend
from tests.gpu_emulation import gplusplus, install, raw_module


@functools.cache
def is_real() -> bool:
    """Return whether this machine has CuPy and a GPU."""
    try:
        import cupy

        return bool(cupy.cuda.runtime.getDeviceCount())
    except (ImportError, RuntimeError):
        return False


def cupy_is_installed() -> bool:
    """Return whether the real CuPy is installed, even without a GPU."""
    install.uninstall()
    return importlib.util.find_spec("cupy") is not None


def prepare() -> None:
    """Make `import cupy` work, with the emulator if need be; skip the test if that is impossible."""
    pytest.importorskip("ml_dtypes")
    if is_real():
        return
    if missing := gplusplus.missing():
        pytest.skip(missing)
    install.install()


def backend(precision: str = "float32", graph: bool = False) -> Backend:
    """Return the cupy backend, on a real or an emulated GPU."""
    prepare()
    return get_backend("cupy", precision=precision, graph=graph)


def every_schedule() -> AbstractContextManager[None]:
    """Return a context in which emulated kernels run under several thread schedules, which must agree."""
    return nullcontext() if is_real() else raw_module.every_schedule()


def dtype_of(name: str) -> np.dtype[Any]:
    """Return a NumPy dtype by name, including bfloat16."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)
