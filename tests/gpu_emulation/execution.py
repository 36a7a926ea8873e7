"""Runs NumPy functions on device memory: now, or whenever the graph is launched that captures them."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.gpu_emulation import capture, memory, streams
from tests.gpu_emulation.fake_ndarray import device_array, ndarray

Function = Callable[..., Any]


def new(shape: Any, dtype: Any, strides: Any = None, order: str = "C") -> ndarray:
    """Return new device memory, which is poisoned."""
    return ndarray(shape, dtype, None, strides, order)


def compute(function: Function, *args: Any, **kwargs: Any) -> Any:
    """Return `function` of the arrays as device arrays: views where it returns views, else new memory.

    While a stream captures, the new memory is poisoned and the function is only recorded. Its result's
    shape and type come from running it on whatever is in the arguments.
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
    """Run `function(target, ...)`, which changes `target`, or record it.

    `probe` is what finds wrong shapes while capturing, for a function that looks at values.
    """
    streams.check_current_stream()
    host_args, host_kwargs = unwrap(args), unwrap(kwargs)
    array = target._array
    if capture.capturing():
        _probe(
            probe or function, (array.copy(), *host_args), host_kwargs
        )  # a wrong shape is an error right now
    capture.submit(lambda: _quietly(function, (array, *host_args), host_kwargs))


def unwrap(value: Any) -> Any:
    """Return the value with NumPy's views in place of device arrays, also inside tuples, lists and dicts."""
    if isinstance(value, ndarray):
        return value._array
    if type(value) in (tuple, list):
        return type(value)(unwrap(item) for item in value)
    if type(value) is dict:
        return {key: unwrap(item) for key, item in value.items()}
    return value


def leaves(value: Any, kind: type = ndarray) -> list[Any]:
    """Return the arrays in a value: device arrays, or those of another kind."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in leaves(item, kind)] if isinstance(value, tuple | list) else []


def _quietly(function: Function, args: Any, kwargs: Any) -> Any:
    """Run without NumPy's warnings: a GPU divides by zero in silence."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **kwargs)


def _probe(function: Function, args: Any, kwargs: Any) -> Any:
    """Run on garbage; if that fails for its values (an index, say), run on zeros instead."""
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
