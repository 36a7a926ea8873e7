"""Counts what is slow on a GPU: synchronizations, uploads and kernel launches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.gpu_emulation import capture


@dataclass
class Stats:
    """Counts since the last reset, and the number of emulated devices."""

    synchronisations: int = 0
    uploads: int = 0
    launches: int = 0
    device_count: int = 1

    def reset(self) -> None:
        """Reset everything, including the number of devices."""
        self.__init__()  # type: ignore[misc]


stats = Stats()
_allowed = True


def synchronise(what: str) -> None:
    """Count a hidden wait for the device; raise RuntimeError where it is not allowed."""
    with capture.forbidden(what):
        if not _allowed:
            raise RuntimeError(f"DeviceSynchronized: {what} inside cupyx.allow_synchronize(False)")
        stats.synchronisations += 1


def synchronise_openly(what: str) -> None:
    """Count a wait that the program requests explicitly, which `allow_synchronize` does not affect."""
    with capture.forbidden(what):
        stats.synchronisations += 1


@contextmanager
def allow_synchronize(allow: bool) -> Iterator[None]:
    """Allow or forbid hidden waits inside the block, as the function of the same name in cupyx does."""
    global _allowed  # noqa: PLW0603 - there is only one device
    before, _allowed = _allowed, allow
    try:
        yield
    finally:
        _allowed = before
