"""Training steps that are queued on the device without waiting, and optionally captured in a CUDA graph."""

import os
from collections.abc import Callable
from typing import Any

import cupy
import cupyx
import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.ops.rng import RowStreams
from scratchgpt.shapes import Array

PER_THREAD_STREAM_VARIABLE = "CUPY_CUDA_PER_THREAD_DEFAULT_STREAM"
STEPS_IN_FLIGHT = 4  # steps whose inputs can be on their way to the device at once


class Staging:
    """A device array for one input of a step, and the pinned memory from which it is filled."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.array = cupy.empty(shape, dtype=dtype)
        self._pinned = [cupyx.empty_pinned(shape, dtype=dtype) for _ in range(STEPS_IN_FLIGHT)]
        self._copied: list[Any] = [None] * STEPS_IN_FLIGHT
        self._next = 0

    def fill(self, values: Array) -> None:
        """Queue a copy of `values` to the device, after all work queued before; return at once."""
        pinned, copied = self._pinned[self._next], self._copied[self._next]
        if copied is not None:
            copied.synchronize()  # the copy from this piece of pinned memory, STEPS_IN_FLIGHT steps ago
        pinned[...] = values
        stream = cupy.cuda.get_current_stream()
        self.array.set(pinned, stream=stream)
        self._copied[self._next] = stream.record()
        self._next = (self._next + 1) % STEPS_IN_FLIGHT


class Step:
    """A function that takes host arrays, runs on the device and is called again and again.

    Its inputs are copied to fixed device arrays, where a captured graph finds them. There is one graph for
    each set of input shapes: the first call runs directly, which compiles kernels and fills the memory pool;
    the second call is captured; from then on the graph is replayed. Each graph has its own memory pool,
    because addresses are part of the graph.

    Args:
        function: the step; it must return nothing and leave its results on the device.
        record: whether to capture it in a graph.

    Raises:
        InputError: CuPy is set to one default stream per thread, and `record` is true.
    """

    def __init__(self, function: Callable[..., None], record: bool) -> None:
        self._function = function
        self._record = record
        self._inputs: dict[Any, list[Staging]] = {}
        self._graphs: dict[Any, Any] = {}
        self._pools: dict[Any, Any] = {}
        self._stream = cupy.cuda.Stream()
        if record and os.environ.get(PER_THREAD_STREAM_VARIABLE, "0") != "0":
            raise InputError(
                f"{PER_THREAD_STREAM_VARIABLE} is set; unset it to use --graph true, which relies on the "
                "single default stream to order the graph's work and other work"
            )

    def __call__(self, *arguments: Any) -> None:
        """Call the function with the same arguments on the device; they are arrays, `RowStreams` or None."""
        values = [_values(each) for each in arguments]
        key = tuple(None if each is None else (each.shape, each.dtype) for each in values)
        if not self._record:
            self._function(*self._on_device(key, values, arguments))
            return
        with self._stream:
            on_device = self._on_device(key, values, arguments)
            if key not in self._graphs:
                self._pools[key] = cupy.cuda.MemoryPool()
                with cupy.cuda.using_allocator(self._pools[key].malloc):
                    self._function(*on_device)
                self._graphs[key] = None
                return
            if self._graphs[key] is None:
                self._graphs[key] = self._recorded(self._pools[key], on_device)
            self._graphs[key].launch()

    def _recorded(self, pool: Any, on_device: list[Any]) -> Any:
        with cupy.cuda.using_allocator(pool.malloc):
            self._stream.begin_capture()
            try:
                self._function(*on_device)
            finally:
                graph = self._stream.end_capture()
        return graph

    def _on_device(self, key: Any, values: list[Array | None], arguments: tuple[Any, ...]) -> list[Any]:
        """Copy the arguments into their device arrays; return those."""
        if key not in self._inputs:
            self._inputs[key] = [Staging(*each) for each in key if each is not None]
        places = iter(self._inputs[key])
        on_device: list[Any] = []
        for argument, value in zip(arguments, values, strict=True):
            if value is None:
                on_device.append(None)
                continue
            place = next(places)
            place.fill(value)
            on_device.append(RowStreams(place.array) if isinstance(argument, RowStreams) else place.array)
        return on_device


def _values(argument: Any) -> Array | None:
    """Return the array of an argument, with integers as int32."""
    if argument is None:
        return None
    array = argument.state if isinstance(argument, RowStreams) else argument
    return array.astype(np.int32) if array.dtype.kind == "i" else array
