"""Ctrl-C without loss."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ctrl_c_requests_stop() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C sets, so that a loop can finish its step and save.

    The second Ctrl-C stops the program at once. Call it from the main thread.
    """
    requested = threading.Event()

    def handler(signum: int, frame: object) -> None:
        requested.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield requested
    finally:
        signal.signal(signal.SIGINT, previous)
