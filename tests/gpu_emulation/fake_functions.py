"""CuPy's functions: NumPy's, restricted to the keywords and arguments that CuPy accepts."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.gpu_emulation import capture
from tests.gpu_emulation.execution import change, compute, leaves, new
from tests.gpu_emulation.fake_ndarray import ndarray
from tests.gpu_emulation.fake_ufunc import SIXTEEN_BITS, into
from tests.gpu_emulation.stats import stats, synchronise
from tests.gpu_emulation.surface import check_keywords, surface

# fmt: off
UPLOADING = frozenset(
    {
        "array", "asarray", "ascontiguousarray", "asfortranarray", "asanyarray",
    }
)
# fmt: on
# fmt: off
CREATING = frozenset(
    {
        "arange", "blackman", "eye", "full", "geomspace", "hamming", "hanning", "identity", "indices",
        "kaiser", "linspace", "logspace", "ones", "tri", "zeros",
    }
)
# fmt: on
# fmt: off
ON_THE_HOST = frozenset(
    {
        "broadcast_shapes", "can_cast", "common_type", "isscalar", "issubdtype", "iscomplexobj",
        "isrealobj", "isfortran", "min_scalar_type", "ndim", "promote_types", "result_type", "shape",
        "size", "may_share_memory", "shares_memory", "binary_repr", "base_repr",
    }
)
# fmt: on
# fmt: off
SYNCHRONISING = frozenset(
    {
        "argwhere", "bincount", "compress", "digitize", "extract", "flatnonzero", "histogram",
        "histogram2d", "histogramdd", "intersect1d", "nonzero", "setdiff1d", "setxor1d", "trim_zeros",
        "union1d", "unique", "delete", "select", "choose",
    }
)
# fmt: on
# fmt: off
WITH_LIBRARIES = frozenset(
    {
        "argpartition", "argsort", "convolve", "correlate", "cov", "corrcoef", "einsum", "inner", "kron",
        "lexsort", "median", "msort", "outer", "partition", "percentile", "quantile", "roots", "sort",
        "sort_complex", "tensordot", "vdot",
    }
)
# fmt: on
CHANGING = frozenset(["copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"])
SUMS = frozenset(["cumsum", "mean", "nanmean", "nansum", "prod", "sum"])
NOT_IN_BFLOAT16 = frozenset(["nanstd", "nanvar", "std", "var"])


@functools.cache
def function(name: str) -> Callable[..., Any]:
    """Return the CuPy function with this dotted name, e.g. "cupy.sum" or "cupy.linalg.norm"."""
    short = name.rsplit(".", 1)[1]
    numpy_function = getattr(np.linalg if name.startswith("cupy.linalg.") else np, short)
    if short in OWN:
        body = OWN[short]
    elif short in ON_THE_HOST:
        body = lambda *args, **kwargs: _on_host(numpy_function, *args, **kwargs)  # noqa: E731
    elif short in CHANGING:
        body = lambda target, *args, **kwargs: change(numpy_function, target, *args, **kwargs)  # noqa: E731
    else:
        body = functools.partial(_general, name, numpy_function)

    @functools.wraps(numpy_function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        check_keywords(name, kwargs)
        _check_arrays(name, args, kwargs)
        return body(*args, **kwargs)

    return checked


def _check_arrays(name: str, args: Any, kwargs: Any) -> None:
    """Raise TypeError for host arrays, and for calls without a device array where CuPy needs one."""
    short = name.rsplit(".", 1)[1]
    if short in UPLOADING or short in ON_THE_HOST:
        return
    if leaves((args, kwargs), np.ndarray):
        raise TypeError(f"{name}: Unsupported type <class 'numpy.ndarray'>; upload it with cupy.asarray")
    if short not in CREATING and short != "empty" and not leaves((args, kwargs)):
        raise TypeError(f"{name} needs a device array")


def _on_host(numpy_function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Compute on the host what depends only on shapes and types."""
    host = [argument._array if isinstance(argument, ndarray) else argument for argument in args]
    return numpy_function(*host, **kwargs)


def _general(name: str, numpy_function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    short = name.rsplit(".", 1)[1]
    if short in SYNCHRONISING or (short == "repeat" and len(leaves((args, kwargs))) > 1):
        synchronise(name)
    if short in WITH_LIBRARIES or (name.startswith("cupy.linalg.") and short != "norm"):
        with capture.forbidden(name):
            pass
    kinds = {leaf.dtype.name for leaf in leaves((args, kwargs))}
    if short in NOT_IN_BFLOAT16 and "bfloat16" in kinds:
        raise TypeError(f"CuPy 14.2: {name} fails in bfloat16")
    if short in ("sort", "argsort"):
        kwargs["kind"] = "stable"  # CuPy's sorting is always stable
    if short in SUMS and kwargs.get("dtype") is None and SIXTEEN_BITS & kinds:
        numpy_function = functools.partial(widened, numpy_function)
    return into(kwargs.pop("out", None), numpy_function, *args, **kwargs)


def widened(numpy_function: Callable[..., Any], array: np.ndarray, *args: Any, **kwargs: Any) -> Any:
    """Accumulate 16-bit numbers in float32, as CuPy does."""
    out = kwargs.pop("out", None)
    result = np.asarray(numpy_function(array.astype(np.float32), *args, **kwargs)).astype(array.dtype)
    if out is None:
        return result
    out[...] = result
    return out


def _uploading(numpy_function: Callable[..., Any]) -> Callable[..., Any]:
    def upload(a: Any, *args: Any, blocking: bool = False, **kwargs: Any) -> Any:
        if isinstance(a, ndarray):
            return compute(numpy_function, a, *args, **kwargs)
        if leaves(a):  # a list of device arrays: CuPy stacks them
            return compute(lambda parts: numpy_function(np.stack(parts), *args, **kwargs), list(a))
        with capture.forbidden("the upload of a host array (every launch would upload the same values)"):
            stats.uploads += 1
            host = numpy_function(a, *args, **kwargs)
            device = new(host.shape, host.dtype, np.empty_like(host).strides)
            device._array[...] = host
            return device

    return upload


def _empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return new(shape, dtype, order=order)


def _like(value: Any) -> Callable[..., ndarray]:
    def like(
        a: ndarray, dtype: Any = None, order: str = "K", subok: None = None, shape: Any = None
    ) -> ndarray:
        if not isinstance(a, ndarray):
            raise TypeError(f"Unsupported type {type(a)}")
        if subok is not None:
            raise TypeError("subok is not supported yet")
        host = np.empty_like(a._array, dtype, order, shape=shape)  # type: ignore[call-overload]
        made = new(host.shape, host.dtype, host.strides)
        if value is not None:
            made.fill(value)
        return made

    return like


def _full_like(
    a: ndarray, fill_value: Any, dtype: Any = None, order: str = "K", subok: None = None, shape: Any = None
) -> ndarray:
    made = _like(None)(a, dtype, order, subok, shape)
    made[...] = fill_value
    return made


def _where(condition: ndarray, x: Any = None, y: Any = None) -> Any:
    if not isinstance(condition, ndarray):
        raise AttributeError(f"{type(condition).__name__!r} object has no attribute 'astype'")
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    return function("cupy.nonzero")(condition) if x is None else compute(np.where, condition, x, y)


def _compared(numpy_function: Callable[..., bool]) -> Callable[..., Any]:
    """Return the comparison, with a device array of rank 0 as its result."""
    return lambda *args, **kwargs: compute(
        lambda *a, **k: np.asarray(numpy_function(*a, **k)), *args, **kwargs
    )


def _copyto(dst: ndarray, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    masked = {} if where is None else {"where": where}
    change(np.copyto, dst, src, casting=casting, **masked)


def _asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    return a.get(stream, order, out, blocking) if isinstance(a, ndarray) else np.asarray(a, order=order)  # type: ignore


OWN: dict[str, Callable[..., Any]] = {
    **{name: _uploading(getattr(np, name)) for name in UPLOADING},
    **{name: _compared(getattr(np, name)) for name in ("allclose", "array_equal", "array_equiv")},
    "copyto": _copyto,
    "empty": _empty,
    "empty_like": _like(None),
    "full_like": _full_like,
    "ones_like": _like(1),
    "where": _where,
    "zeros_like": _like(0),
}
asnumpy = _asnumpy


def has(name: str) -> bool:
    """Return whether CuPy has a function with this dotted name."""
    return isinstance(surface().get(name), list) or surface().get(name) == "function"
