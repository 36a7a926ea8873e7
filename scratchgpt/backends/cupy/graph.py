"""Training steps that are sent to the device without waiting for it, and recorded as a graph if asked for."""

import os
from collections.abc import Callable
from typing import Any

import cupy
import cupyx
import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.ops.rng import RowStreams
from scratchgpt.shapes import Array

PER_THREAD = "CUPY_CUDA_PER_THREAD_DEFAULT_STREAM"
STAGES = 4  # steps whose inputs can be on their way at once


class Staging:
    """A place on the device for one input of a step, and pinned memory from which it is filled."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.array = cupy.empty(shape, dtype=dtype)
        self._pinned = [cupyx.empty_pinned(shape, dtype=dtype) for _ in range(STAGES)]
        self._copied: list[Any] = [None] * STAGES
        self._next = 0

    def fill(self, values: Array) -> None:
        """Send values to the device, after what it was sent before; returns at once."""
        pinned, copied = self._pinned[self._next], self._copied[self._next]
        if copied is not None:
            copied.synchronize()  # the copy of `STAGES` steps ago, from this piece of pinned memory
        pinned[...] = values
        stream = cupy.cuda.get_current_stream()
        self.array.set(pinned, stream=stream)
        self._copied[self._next] = stream.record()
        self._next = (self._next + 1) % STAGES


class Step:
    """A function of host arrays that is called again and again, on the device.

    Its inputs go to fixed places, so that a recorded graph finds them there. Recorded is each set of
    shapes by itself: the first call runs as it is, which compiles kernels and fills the memory pool, the
    second one is recorded, and from then on the record is replayed. Each record has a memory pool of its own,
    because its addresses are part of it.
    """

    def __init__(self, function: Callable[..., None], record: bool) -> None:
        self._function = function
        self._record = record
        self._inputs: dict[Any, list[Staging]] = {}
        self._graphs: dict[Any, Any] = {}
        self._pools: dict[Any, Any] = {}
        self._stream = cupy.cuda.Stream()
        if record and os.environ.get(PER_THREAD, "0") != "0":
            raise InputError(
                f"{PER_THREAD} is set; expected it unset with --graph true, whose stream "
                "is ordered against other work by the one default stream"
            )

    def __call__(self, *arguments: Any) -> None:
        """Call the function with arrays, `RowStreams` and None, the arrays being on the device."""
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
        """Send the arguments to their places; return them as they are there."""
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
    """Return the array of an argument, tokens as 32-bit integers."""
    if argument is None:
        return None
    array = argument.state if isinstance(argument, RowStreams) else argument
    return array.astype(np.int32) if array.dtype.kind == "i" else array
