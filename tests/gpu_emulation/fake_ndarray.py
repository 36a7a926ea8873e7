"""The class of device arrays: memory and the protocols NumPy uses. Its methods are in fake_methods.py."""

import functools
import importlib
from typing import Any

import numpy as np

from tests.gpu_emulation import pools
from tests.gpu_emulation.surface import surface

SCALARS = (bool, int, float, complex, np.generic)


class ndarray:
    """An array in device memory; `_array` is a NumPy view of that memory, for the emulator only."""

    __slots__ = ("__weakref__", "_array", "_base")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]
    _array: np.ndarray
    _base: "ndarray | None"

    def __init__(
        self,
        shape: Any,
        dtype: Any = float,
        memptr: pools.MemoryPointer | None = None,
        strides: Any = None,
        order: str = "C",
    ) -> None:
        self._base = None
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        dtype = np.dtype(dtype)
        if dtype.kind not in "biufcV":
            raise ValueError(f"Unsupported dtype {dtype}")
        if memptr is None:
            memptr = pools.get_allocator()(int(np.prod(shape, dtype=int)) * dtype.itemsize)
        self._array = np.ndarray(shape, dtype, memptr.array, 0, strides, order)  # type: ignore[call-overload]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if f"cupy.{ufunc.__name__}" not in surface() or method not in ("__call__", "at"):
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        function = getattr(_cupy(), ufunc.__name__)
        return (function if method == "__call__" else function.at)(*inputs, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        try:
            module = functools.reduce(getattr, func.__module__.split(".")[1:], _cupy())
            ours = getattr(module, func.__name__)
        except AttributeError:
            return NotImplemented
        if ours is func or not all(issubclass(kind, ndarray | np.ndarray) for kind in types):
            return NotImplemented
        return ours(*args, **kwargs)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._array.ctypes.data, False),
            "strides": None if self._array.flags.c_contiguous else self.strides,
            "version": 3,
            "stream": 1,
        }

    @property
    def base(self) -> "ndarray | None":
        """The array whose memory this one is a view of, or None."""
        return self._base

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    @property
    def itemsize(self) -> int:
        return self._array.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        return self._array.strides

    @property
    def flags(self) -> "Flags":
        return Flags(self._array)

    @property
    def data(self) -> "Data":
        return Data(self._array)

    @property
    def device(self) -> Any:
        return _cupy().cuda.Device(0)

    def __len__(self) -> int:
        return len(self._array)


class Flags:
    """The flags that describe the memory layout."""

    def __init__(self, array: np.ndarray) -> None:
        self.c_contiguous = array.flags.c_contiguous
        self.f_contiguous = array.flags.f_contiguous

    def __getitem__(self, name: str) -> bool:
        return bool(getattr(self, name.lower()))


class Data:
    """The memory pointer of an array; `ptr` is an address in host memory, so that ctypes code works."""

    def __init__(self, array: np.ndarray) -> None:
        self.ptr = array.ctypes.data
        self.device_id = 0
        self._keep_alive = array


def device_array(array: np.ndarray, base: ndarray | None = None) -> ndarray:
    """Return a device array over existing device memory; it becomes a view of `base` or of its base."""
    made = ndarray.__new__(ndarray)
    made._array = array
    made._base = base if base is None or base._base is None else base._base
    return made


def _cupy() -> Any:
    return importlib.import_module("tests.gpu_emulation.fake_cupy")
