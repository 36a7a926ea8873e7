"""Streams, events and graphs. Work is done at once, unless a stream captures it for a graph."""

import itertools
import time
from typing import Any, ClassVar

from tests.gpu_emulation import capture
from tests.gpu_emulation.stats import synchronise_openly

_addresses = itertools.count(0x1000, 0x10)


class Stream:
    """A queue of device work."""

    null: ClassVar["Stream"]
    _current: ClassVar["Stream"]
    _capturing: ClassVar["Stream | None"] = None

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
    ) -> None:
        self.ptr = 0 if null else next(_addresses)
        self.is_non_blocking, self.ptds, self.priority = non_blocking, ptds, priority
        self._outer: list[Stream] = []

    def __enter__(self) -> "Stream":
        self._outer.append(Stream._current)
        return self.use()

    def __exit__(self, *_error: object) -> None:
        self._outer.pop().use()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return hash(self.ptr)

    def use(self) -> "Stream":
        """Make this the current stream."""
        Stream._current = self
        return self

    @property
    def done(self) -> bool:
        """Whether the queue is empty, which it always is."""
        return True

    def synchronize(self) -> None:
        """Wait until all work of the stream is done."""
        synchronise_openly("Stream.synchronize")

    def record(self, event: "Event | None" = None) -> "Event":
        """Record an event in the stream and return it."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        """Do nothing: the event has already happened."""

    def begin_capture(self, mode: int | None = None) -> None:
        """Start recording work instead of doing it."""
        if self.ptr == 0:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: the null stream cannot be captured")
        capture.begin()
        Stream._capturing = self

    def end_capture(self) -> "Graph":
        """Stop recording and return the work as a graph."""
        if capture.capturing() and Stream._capturing is not self:
            raise RuntimeError("cudaErrorStreamCaptureUnmatched: another stream is capturing")
        Stream._capturing = None
        return Graph(capture.end())

    def is_capturing(self) -> bool:
        """Return whether this stream is recording."""
        return capture.capturing() and Stream._capturing is self


Stream.null = Stream(null=True)
Stream._current = Stream.null


def get_current_stream(device_id: int = -1) -> Stream:
    """Return the current stream."""
    return Stream._current


def check_current_stream() -> None:
    """Raise RuntimeError if a stream captures but another one is current: CUDA invalidates the capture."""
    if Stream._capturing is not None and capture.capturing() and Stream._current is not Stream._capturing:
        raise RuntimeError(
            "cudaErrorStreamCaptureImplicit: a stream captures that is not the current one; "
            "capture inside `with stream:`"
        )


class Event:
    """A point in a stream, with its time."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self._time = 0.0
        self.done = True

    def record(self, stream: Stream | None = None) -> None:
        """Note the time."""
        self._time = time.perf_counter()

    def synchronize(self) -> None:
        """Wait for the event."""
        synchronise_openly("Event.synchronize")


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Return the milliseconds between two events."""
    return (end_event._time - start_event._time) * 1e3


class Graph:
    """Recorded work that can be launched any number of times."""

    def __init__(self, work: list[Any]) -> None:
        self._work = work

    def launch(self, stream: Stream | None = None) -> None:
        """Do the recorded work."""
        with capture.forbidden("Graph.launch"):
            for work in self._work:
                work()

    def upload(self, stream: Stream | None = None) -> None:
        """Do nothing: there is no launch to prepare."""
