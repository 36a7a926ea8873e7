"""Counts what is slow or forbidden on a GPU: waits for the device, transfers, kernel launches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.gpu_emulation import capture


@dataclass
class Stats:
    """What happened since the last reset, and how the emulated machine is set up."""

    synchronisations: int = 0
    uploads: int = 0
    launches: int = 0
    device_count: int = 1

    def reset(self) -> None:
        """Set everything back, the number of devices included."""
        self.__init__()  # type: ignore[misc]


stats = Stats()
_allowed = True


def synchronise(what: str) -> None:
    """Count that the host waits for the device, where that is allowed."""
    with capture.forbidden(what):
        if not _allowed:
            raise RuntimeError(f"DeviceSynchronized: {what} inside cupyx.allow_synchronize(False)")
        stats.synchronisations += 1


def synchronise_openly(what: str) -> None:
    """Count a wait that the program asks for by name; `allow_synchronize` does not notice those."""
    with capture.forbidden(what):
        stats.synchronisations += 1


@contextmanager
def allow_synchronize(allow: bool) -> Iterator[None]:
    """Allow or refuse hidden waits, as the function of the same name in cupyx does."""
    global _allowed  # noqa: PLW0603 - there is one device, and one state of it
    before, _allowed = _allowed, allow
    try:
        yield
    finally:
        _allowed = before
