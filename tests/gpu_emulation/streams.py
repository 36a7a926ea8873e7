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
        """Make this the stream that operations go to."""
        Stream._current = self
        return self

    @property
    def done(self) -> bool:
        """Whether nothing is waiting in the queue."""
        return True

    def synchronize(self) -> None:
        """Wait until everything is done."""
        synchronise_openly("Stream.synchronize")

    def record(self, event: "Event | None" = None) -> "Event":
        """Put an event into the queue."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        """Let later work wait for the event: it has happened already."""

    def begin_capture(self, mode: int | None = None) -> None:
        """Record what comes instead of doing it."""
        if self.ptr == 0:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: the null stream cannot be captured")
        capture.begin()
        Stream._capturing = self

    def end_capture(self) -> "Graph":
        """Stop recording and return the recorded work."""
        if capture.capturing() and Stream._capturing is not self:
            raise RuntimeError("cudaErrorStreamCaptureUnmatched: another stream is capturing")
        Stream._capturing = None
        return Graph(capture.end())

    def is_capturing(self) -> bool:
        """Return whether this stream records its work."""
        return capture.capturing() and Stream._capturing is self


Stream.null = Stream(null=True)
Stream._current = Stream.null


def get_current_stream(device_id: int = -1) -> Stream:
    """Return the stream that operations go to."""
    return Stream._current


def check_current_stream() -> None:
    """Raise if a stream captures and work comes to another one: CUDA spoils the capture then."""
    if Stream._capturing is not None and capture.capturing() and Stream._current is not Stream._capturing:
        raise RuntimeError(
            "cudaErrorStreamCaptureImplicit: another stream than the current one captures; "
            "capture inside `with stream:`"
        )


class Event:
    """A moment in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self._time = 0.0
        self.done = True

    def record(self, stream: Stream | None = None) -> None:
        """Remember the time."""
        self._time = time.perf_counter()

    def synchronize(self) -> None:
        """Wait for the event."""
        synchronise_openly("Event.synchronize")


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Return the milliseconds between two events."""
    return (end_event._time - start_event._time) * 1e3


class Graph:
    """Recorded work, which can be done any number of times."""

    def __init__(self, work: list[Any]) -> None:
        self._work = work

    def launch(self, stream: Stream | None = None) -> None:
        """Do all of it."""
        with capture.forbidden("Graph.launch"):
            for work in self._work:
                work()

    def upload(self, stream: Stream | None = None) -> None:
        """Prepare the launch; nothing happens here."""
