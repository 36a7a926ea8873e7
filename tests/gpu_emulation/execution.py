"""Runs NumPy functions on device memory: at once, or, while a stream captures, with each graph launch."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.gpu_emulation import capture, memory, streams
from tests.gpu_emulation.fake_ndarray import device_array, ndarray

Function = Callable[..., Any]


def new(shape: Any, dtype: Any, strides: Any = None, order: str = "C") -> ndarray:
    """Return a new device array, filled with poison."""
    return ndarray(shape, dtype, None, strides, order)


def compute(function: Function, *args: Any, **kwargs: Any) -> Any:
    """Return `function(*args)` as device arrays: views where it returns views, otherwise new arrays.

    While a stream captures, the function is only recorded and new arrays hold poison. Shape and type of the
    result are found by running it on the arguments' current contents.
    """
    streams.check_current_stream()
    host_args, host_kwargs = unwrap(args), unwrap(kwargs)
    inputs = {id(leaf._array): leaf for leaf in leaves((args, kwargs))}
    owners = {id(memory.owner(leaf._array)): leaf for leaf in inputs.values()}
    later = capture.capturing()
    probe = _probe if later else _quietly
    results = probe(function, host_args, host_kwargs)
    targets: list[tuple[int, ndarray]] = []

    def placed(index: int, result: Any) -> Any:
        if isinstance(result, np.ndarray) and id(result) in inputs:
            return inputs[id(result)]
        if isinstance(result, np.ndarray) and id(memory.owner(result)) in owners:
            return device_array(result, owners[id(memory.owner(result))])
        if not isinstance(result, np.ndarray | np.generic):
            return result
        result = np.asarray(result)
        target = new(result.shape, result.dtype, np.empty_like(result).strides)
        if not later:
            target._array[...] = result
        targets.append((index, target))
        return target

    if not isinstance(results, tuple | list):
        placed_results = placed(0, results)
    else:
        placed_results = type(results)(placed(i, result) for i, result in enumerate(results))  # type: ignore

    def replay() -> None:
        again = _quietly(function, host_args, host_kwargs)
        for index, target in targets:
            target._array[...] = again[index] if isinstance(again, tuple | list) else again

    if later and targets:
        capture.submit(replay)
    return placed_results


def change(
    function: Function, target: ndarray, *args: Any, probe: Function | None = None, **kwargs: Any
) -> None:
    """Run or record `function(target, ...)`, which changes `target` in place.

    While a stream captures, `probe` replaces the function to find wrong shapes, if the function itself
    depends on values.
    """
    streams.check_current_stream()
    host_args, host_kwargs = unwrap(args), unwrap(kwargs)
    array = target._array
    if capture.capturing():
        _probe(
            probe or function, (array.copy(), *host_args), host_kwargs
        )  # a wrong shape must be an error now, not when the graph runs
    capture.submit(lambda: _quietly(function, (array, *host_args), host_kwargs))


def unwrap(value: Any) -> Any:
    """Replace device arrays by their NumPy views, also inside tuples, lists and dicts."""
    if isinstance(value, ndarray):
        return value._array
    if type(value) in (tuple, list):
        return type(value)(unwrap(item) for item in value)
    if type(value) is dict:
        return {key: unwrap(item) for key, item in value.items()}
    return value


def leaves(value: Any, kind: type = ndarray) -> list[Any]:
    """Return all arrays inside a value: device arrays, or instances of another class."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in leaves(item, kind)] if isinstance(value, tuple | list) else []


def _quietly(function: Function, args: Any, kwargs: Any) -> Any:
    """Run without NumPy's warnings: a GPU divides by zero silently."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **kwargs)


def _probe(function: Function, args: Any, kwargs: Any) -> Any:
    """Run on the current contents; if these make it fail (e.g. as an index), run on zeros."""
    try:
        return _quietly(function, args, kwargs)
    except (IndexError, ValueError):
        return _quietly(function, _zeros(args), _zeros(kwargs))


def _zeros(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.zeros_like(value)
    if type(value) in (tuple, list):
        return type(value)(_zeros(item) for item in value)
    if type(value) is dict:
        return {key: _zeros(item) for key, item in value.items()}
    return value
