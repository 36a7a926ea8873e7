"""Stop on Ctrl-C or SIGTERM without losing work."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager


class StopRequest:
    """A request to stop: set by a signal, or by a time limit.

    Args:
        max_minutes: the time limit, counted from now; None means no limit.

    Attributes:
        signum: the first signal received, or None.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self.signum: int | None = None
        self._end = None if max_minutes is None else time.monotonic() + 60 * max_minutes

    def is_set(self) -> bool:
        """Return whether a signal was received or the time is up."""
        return self.signum is not None or (self._end is not None and time.monotonic() >= self._end)

    @property
    def exit_code(self) -> int:
        """What a shell reports, 128 + signal number: 130 for Ctrl-C, 143 for SIGTERM; 0 without a signal."""
        return 0 if self.signum is None else 128 + self.signum


@contextmanager
def signals_request_stop(max_minutes: float | None = None) -> Iterator[StopRequest]:
    """Yield a request that the first Ctrl-C or SIGTERM sets, so that a loop can finish its step and save.

    `max_minutes`, if given, sets it as well. A Ctrl-C after the first signal raises KeyboardInterrupt at
    once. A second SIGTERM is ignored: supervisors may send it twice, and have SIGKILL if they mean it.
    Call this from the main thread.
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
