"""A strict replacement for the module `cupy` that computes with NumPy on emulated device memory.

It has the names and keywords of the CuPy version recorded in surface.json. It raises the errors that CuPy
raises, and also where CuPy silently accepts undefined behavior or a hidden transfer.
"""

import importlib
from types import ModuleType
from typing import Any

import numpy

from tests.gpu_emulation import fake_cuda, fake_methods, fake_random, pools
from tests.gpu_emulation.fake_functions import asnumpy, function, has
from tests.gpu_emulation.fake_ndarray import ndarray
from tests.gpu_emulation.fake_ufunc import dot, matmul, ufunc
from tests.gpu_emulation.stats import stats
from tests.gpu_emulation.surface import surface

__version__ = str(surface()["cupy.__version__"])
__all__ = ["asnumpy", "cuda", "dot", "linalg", "matmul", "ndarray", "random", "stats", "ufunc"]

fake_methods.attach()
cuda = fake_cuda.build()
random = fake_random.build()
is_available = fake_cuda.is_available


class _Linalg(ModuleType):
    """The module `cupy.linalg`."""

    def __getattr__(self, name: str) -> Any:
        if not has(f"cupy.linalg.{name}"):
            raise AttributeError(f"module 'cupy.linalg' has no attribute {name!r}")
        return function(f"cupy.linalg.{name}")


linalg = _Linalg("cupy.linalg")


def get_array_module(*args: Any) -> ModuleType:
    """Return this module if any argument is a device array, else NumPy."""
    this = importlib.import_module(__name__)
    return this if any(isinstance(argument, ndarray) for argument in args) else numpy


def get_default_memory_pool() -> pools.MemoryPool:
    """Return the pool that arrays are allocated from by default."""
    return pools.default_pool


def get_default_pinned_memory_pool() -> pools.PinnedMemoryPool:
    """Return the pool of pinned host memory."""
    return pools.default_pinned_pool


def __getattr__(name: str) -> Any:
    entry = surface().get(f"cupy.{name}")
    value: Any
    if name == "RawModule":
        value = importlib.import_module("tests.gpu_emulation.raw_module").RawModule
    elif entry == "ufunc":
        value = ufunc(name)
    elif has(f"cupy.{name}"):
        value = function(f"cupy.{name}")
    elif entry is not None:
        value = getattr(numpy, name)
    else:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    globals()[name] = value
    return value
