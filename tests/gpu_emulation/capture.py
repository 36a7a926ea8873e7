"""What CUDA's stream capture does: device work is recorded, and done whenever the graph is launched."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Work = Callable[[], None]

_recording: list[Work] | None = None


def capturing() -> bool:
    """Return whether a stream is capturing."""
    return _recording is not None


def submit(work: Work) -> None:
    """Do a piece of device work, or record it while a stream is capturing."""
    if _recording is None:
        work()
    else:
        _recording.append(work)


def begin() -> None:
    """Start to record."""
    global _recording  # noqa: PLW0603 - there is one device, and one state of it
    if _recording is not None:
        raise RuntimeError("cudaErrorStreamCaptureImplicit: a stream is capturing already")
    _recording = []


def end() -> list[Work]:
    """Stop recording and return what was recorded."""
    global _recording
    if _recording is None:
        raise RuntimeError("cudaErrorIllegalState: no stream is capturing")
    recorded, _recording = _recording, None
    return recorded


@contextmanager
def forbidden(what: str) -> Iterator[None]:
    """Refuse, while a stream is capturing, what CUDA does not allow then."""
    if _recording is not None:
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} while a stream is capturing")
    yield
