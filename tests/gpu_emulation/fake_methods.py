"""The methods of device arrays: operators, indexing, transfers, and what CuPy shares with NumPy."""

from typing import Any

import numpy as np

from tests.gpu_emulation import capture, fake_ufunc, streams
from tests.gpu_emulation.execution import change, compute
from tests.gpu_emulation.fake_functions import function
from tests.gpu_emulation.fake_ndarray import ndarray
from tests.gpu_emulation.fake_ufunc import into
from tests.gpu_emulation.indexing import getitem, setitem
from tests.gpu_emulation.stats import stats, synchronise
from tests.gpu_emulation.surface import check_keywords, surface

OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "left_shift",
    "rshift": "right_shift",
}
COMPARISONS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
UNARY = {"neg": "negative", "invert": "invert", "abs": "absolute"}
VIEWS = (
    "reshape",
    "transpose",
    "swapaxes",
    "squeeze",
    "ravel",
    "flatten",
    "view",
    "diagonal",
    "astype",
    "copy",
)
# fmt: off
FUNCTIONS = (
    "all", "any", "argmax", "argmin", "argsort", "clip", "compress", "conj", "conjugate", "cumprod", "cumsum",
    "max", "mean", "min", "nonzero", "prod", "repeat", "round", "searchsorted", "std", "sum", "take",
    "trace", "var",
)
# fmt: on


def get(
    self: ndarray, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True
) -> np.ndarray:
    """Copy to the host; with `blocking=False` without waiting for the device."""
    if out is not None and (not isinstance(out, np.ndarray) or out.dtype != self.dtype):
        raise TypeError(
            f"{getattr(out, 'dtype', type(out))} array cannot be obtained from {self.dtype} array"
        )
    if out is not None and out.shape != self.shape:
        raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: {out.shape}")
    if blocking:
        synchronise("ndarray.get")
    host = np.empty(self.shape, self.dtype, order) if out is None else out  # type: ignore[call-overload]
    streams.check_current_stream()
    capture.submit(lambda: np.copyto(host, self._array))
    return host


def set_(self: ndarray, arr: np.ndarray, stream: Any = None) -> None:
    """Copy from the host; a captured copy reads the host's memory whenever the graph is launched."""
    if not isinstance(arr, np.ndarray):
        raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
    if self.dtype != arr.dtype:
        raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
    if self.shape != arr.shape:
        raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
    if not (self._array.flags.c_contiguous or self._array.flags.f_contiguous):
        raise RuntimeError("Cannot set to non-contiguous array")
    streams.check_current_stream()
    stats.uploads += 1
    capture.submit(lambda: np.copyto(self._array, arr))


def _value(self: ndarray, what: str) -> np.ndarray:
    synchronise(what)
    return self._array


def _operators() -> dict[str, Any]:
    """Return the special methods of arithmetic and comparison."""
    made: dict[str, Any] = {}
    for name, ufunc_name in (OPERATORS | COMPARISONS).items():
        ufunc = fake_ufunc.ufunc(ufunc_name)
        made[f"__{name}__"] = lambda self, other, f=ufunc: f(self, other)
        if name in OPERATORS:
            made[f"__r{name}__"] = lambda self, other, f=ufunc: f(other, self)
            made[f"__i{name}__"] = lambda self, other, f=ufunc: f(self, other, out=self)
    for name, ufunc_name in UNARY.items():
        ufunc = fake_ufunc.ufunc(ufunc_name)
        made[f"__{name}__"] = lambda self, f=ufunc: f(self)
    made["__matmul__"] = fake_ufunc.matmul
    made["__rmatmul__"] = lambda self, other: fake_ufunc.matmul(other, self)
    return made


def _conversions() -> dict[str, Any]:
    """Return the methods that return a host value, and so wait for the device. CuPy has no __index__."""
    made: dict[str, Any] = {
        f"__{kind.__name__}__": lambda self, kind=kind: kind(_value(self, f"{kind.__name__}(device array)"))
        for kind in (bool, int, float, complex, repr, str)
    }
    made["__format__"] = lambda self, spec: format(_value(self, "format(device array)"), spec)
    made["item"] = lambda self: _value(self, "ndarray.item").item()
    made["tolist"] = lambda self: _value(self, "ndarray.tolist").tolist()
    made["tobytes"] = lambda self, order="C": _value(self, "ndarray.tobytes").tobytes(order)
    return made


def _numpy_method(name: str) -> Any:
    """Return a method that makes a view or a copy, as NumPy's does."""

    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        check_keywords(f"cupy.ndarray.{name}", kwargs)
        return compute(lambda array, *a, **k: getattr(array, name)(*a, **k), self, *args, **kwargs)

    method.__name__ = name
    return method


def _function_method(name: str) -> Any:
    """Return a method that calls the function of the same name with the array as first argument."""

    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        check_keywords(f"cupy.ndarray.{name}", kwargs)
        if name == "clip":
            lowest, highest = (*args, None, None)[:2]
            out = kwargs.pop("out", None)
            return into(out, np.clip, self, kwargs.pop("min", lowest), kwargs.pop("max", highest))
        return function(f"cupy.{name}")(self, *args, **kwargs)

    method.__name__ = name
    return method


def _fill(self: ndarray, value: Any) -> None:
    fake_ufunc.check_operand(value)
    change(lambda array, number: array.fill(number), self, value)


def _sort(self: ndarray, axis: int = -1, kind: Any = None) -> None:
    with capture.forbidden("ndarray.sort"):
        change(lambda array: array.sort(axis=axis, kind="stable"), self)


def _iterate(self: ndarray) -> Any:
    if not self.ndim:
        raise TypeError("iteration over a 0-d array")
    return (self[i] for i in range(len(self)))


def attach() -> None:
    """Add to the class those members of CuPy's class that this module implements."""
    members: dict[str, Any] = {**_operators(), **_conversions(), "get": get, "set": set_}
    members |= {
        "__getitem__": getitem,
        "__setitem__": setitem,
        "__iter__": _iterate,
        "__pos__": lambda self: self,
    }
    members |= {"fill": _fill, "sort": _sort}
    members["dot"] = lambda self, b, out=None: fake_ufunc.dot(self, b, out)
    members["__copy__"] = lambda self: self.copy()
    members["__deepcopy__"] = lambda self, _memo: self.copy()
    members |= {name: _numpy_method(name) for name in VIEWS if f"cupy.ndarray.{name}" in surface()}
    members |= {name: _function_method(name) for name in FUNCTIONS if f"cupy.ndarray.{name}" in surface()}
    for name in ("T", "mT", "real", "imag"):
        members[name] = property(lambda self, name=name: compute(lambda array: getattr(array, name), self))
    for name, member in members.items():
        setattr(ndarray, name, member)
