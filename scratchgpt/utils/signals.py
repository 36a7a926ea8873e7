"""Ctrl-C and SIGTERM without loss."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager


class StopRequest:
    """Whether somebody has asked the program to stop, or its time is up.

    Args:
        max_minutes: from now on; None means that there is time.

    Attributes:
        signum: the signal that asked first, or None.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self.signum: int | None = None
        self._end = None if max_minutes is None else time.monotonic() + 60 * max_minutes

    def is_set(self) -> bool:
        """Return whether a signal has come or the time is up."""
        return self.signum is not None or (self._end is not None and time.monotonic() >= self._end)

    @property
    def exit_code(self) -> int:
        """What a shell calls the end by this signal, 130 or 143; 0 if none has come."""
        return 0 if self.signum is None else 128 + self.signum


@contextmanager
def signals_request_stop(max_minutes: float | None = None) -> Iterator[StopRequest]:
    """Give a request that the first Ctrl-C or SIGTERM sets, so that a loop can finish its step and save.

    It is set after `max_minutes`, too, if they are given.

    A Ctrl-C after that stops the program at once. A second SIGTERM changes nothing: who stops a
    program from outside may well say so twice, and has SIGKILL. Call it from the main thread.
    """
    stop = StopRequest(max_minutes)

    def handler(signum: int, frame: object) -> None:
        if stop.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signum = stop.signum or signum

    previous = {signum: signal.signal(signum, handler) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for signum, before in previous.items():
            signal.signal(signum, before)
