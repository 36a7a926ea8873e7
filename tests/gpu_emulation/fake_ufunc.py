"""CuPy's ufuncs and matrix products, restricted to what CuPy accepts."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.gpu_emulation import capture
from tests.gpu_emulation.execution import change, compute
from tests.gpu_emulation.fake_ndarray import SCALARS, ndarray
from tests.gpu_emulation.indexing import check_index, check_value, host_index
from tests.gpu_emulation.surface import check_keywords

WITH_AT = frozenset({"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"})
KEYWORDS = frozenset({"out", "dtype", "casting"})
SIXTEEN_BITS = frozenset({"float16", "bfloat16"})
COMPARISONS = frozenset({"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"})


class ufunc:
    """An element-wise function."""

    def __init__(self, name: str) -> None:
        self.__name__ = self.name = name
        self._numpy = getattr(np, name)  # for a few, such as `fix`, a plain function of one array
        self.nin, self.nout = getattr(self._numpy, "nin", 1), getattr(self._numpy, "nout", 1)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for keyword in kwargs:
            if keyword not in KEYWORDS:
                raise TypeError(
                    f"cupy.{self.name}: unsupported keyword {keyword!r}; ufuncs take {sorted(KEYWORDS)}"
                )
        if self.name in COMPARISONS:  # as in CuPy: NumPy wraps scalars in arrays when it compares
            args = tuple(a.item() if isinstance(a, np.ndarray) and a.ndim == 0 else a for a in args)
        for arg in args[: self.nin]:
            check_operand(arg)
        out = kwargs.get("out", args[self.nin] if len(args) > self.nin else None)
        kwargs = {key: value for key, value in kwargs.items() if key != "out"}
        return into(out, self._numpy, *args[: self.nin], **kwargs)

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        """Apply the function in place at the indices, once for every occurrence of an index."""
        if self.name not in WITH_AT:
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        check_index(indices)
        check_value(b)
        change(self._numpy.at, a, host_index(indices), b)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the emulated ufunc cupy.{self.__dict__.get('name')} has no {name!r}: use a function"
        )


def check_operand(arg: Any) -> None:
    """Raise CuPy's TypeError for anything but device arrays and scalars."""
    if not isinstance(arg, (ndarray, *SCALARS)):
        raise TypeError(f"Unsupported type {type(arg)}")


def into(out: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Compute into `out`, or into a new array if it is None."""
    if out is None:
        return compute(function, *args, **kwargs)
    if isinstance(out, tuple):
        (out,) = out
    if not isinstance(out, ndarray):
        raise TypeError(f"Output arguments type must be cupy.ndarray, not {type(out)}")
    change(lambda array, *host_args: function(*host_args, out=array, **kwargs), out, *args)
    return out


def matmul(*args: Any, **kwargs: Any) -> Any:
    """Return the matrix product; 16-bit numbers are accumulated in float32, as in cuBLAS."""
    check_keywords("cupy.matmul", kwargs)
    return _product("matmul", np.matmul, args, kwargs)


def dot(a: ndarray, b: ndarray, out: ndarray | None = None) -> Any:
    """Return the dot product; see `matmul`."""
    return _product("dot", np.dot, (a, b), {} if out is None else {"out": out})


def _product(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    for arg in args:
        if not isinstance(arg, ndarray):
            raise TypeError(f"cupy.{name}: Unsupported type {type(arg)}")
    if name == "matmul" and max(a.ndim for a in args) > 2 and "bfloat16" in {a.dtype.name for a in args}:
        raise TypeError("CuPy 14.2: N-d bfloat16 matmul fails; flatten to two dimensions")
    with capture.forbidden(f"cupy.{name} (cublasSetStream)"):
        keywords = {key: value for key, value in kwargs.items() if key != "out"}
        return into(kwargs.get("out"), lambda *a, **k: _in_float32(function, *a, **k), *args[:2], **keywords)


def _in_float32(function: Callable[..., Any], a: np.ndarray, b: np.ndarray, **kwargs: Any) -> Any:
    dtype = np.result_type(a, b)
    if dtype.name not in SIXTEEN_BITS:
        return function(a, b, **kwargs)
    out = kwargs.pop("out", None)
    result = function(a.astype(np.float32), b.astype(np.float32), **kwargs).astype(dtype)
    if out is None:
        return result
    out[...] = result
    return out
