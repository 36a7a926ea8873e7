"""Stream capture: device work is recorded, and done whenever the graph is launched."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Work = Callable[[], None]

_recording: list[Work] | None = None


def capturing() -> bool:
    """Return whether a stream is capturing."""
    return _recording is not None


def submit(work: Work) -> None:
    """Do a piece of device work now, or record it if a stream is capturing."""
    if _recording is None:
        work()
    else:
        _recording.append(work)


def begin() -> None:
    """Start recording."""
    global _recording  # noqa: PLW0603 - there is only one device
    if _recording is not None:
        raise RuntimeError("cudaErrorStreamCaptureImplicit: a stream is already capturing")
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
    """Raise RuntimeError if a stream is capturing: CUDA does not allow the body then."""
    if _recording is not None:
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} while a stream is capturing")
    yield
