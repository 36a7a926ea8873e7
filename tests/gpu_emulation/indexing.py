"""Reads and writes parts of device arrays; what is undefined in CUDA is an error here."""

import operator
from typing import Any

import numpy as np

from tests.gpu_emulation.execution import change, compute
from tests.gpu_emulation.fake_ndarray import ndarray
from tests.gpu_emulation.stats import synchronise


def getitem(self: ndarray, index: Any) -> Any:
    """Return `self[index]`; an index out of range is an IndexError, where CuPy wraps around silently."""
    check_index(index)
    if _masks(index):
        synchronise("indexing with a boolean array, which makes the host wait for the size of the result,")
    return compute(lambda array, key: array[key], self, host_index(index))


def setitem(self: ndarray, index: Any, value: Any) -> None:
    """Set `self[index] = value`; duplicate indices are a ValueError."""
    check_index(index)
    check_value(value)
    if _masks(index) and isinstance(value, ndarray) and value.ndim:
        synchronise("assigning an array through a boolean array")
    change(_assign, self, host_index(index), value, probe=operator.setitem)


def check_index(index: Any) -> None:
    """Raise TypeError for host arrays and lists, which CuPy would upload silently."""
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, np.ndarray | list):
            raise TypeError(
                f"device array indexed with a host {type(part).__name__}, which is a hidden transfer; "
                "upload the index first"
            )


def check_value(value: Any) -> None:
    """Raise TypeError for host arrays as values; one of rank 0 counts as a scalar."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim):
        raise TypeError(f"cannot assign a host {type(value).__name__} to a device array; use `a.set(host)`")


def host_index(index: Any) -> Any:
    """Replace NumPy integers in an index by Python's, because NumPy would treat them as arrays."""
    if isinstance(index, tuple):
        return tuple(host_index(part) for part in index)
    return int(index) if isinstance(index, np.integer) else index


def _masks(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, ndarray) and part.dtype == bool for part in parts)


def _assign(array: np.ndarray, key: Any, value: Any) -> None:
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in parts):
        positions = np.arange(array.size).reshape(array.shape)[key]
        if np.unique(positions).size != positions.size:
            raise ValueError("duplicate indices in `a[i] = v`: on a GPU it is undefined which value is kept")
    array[key] = value
