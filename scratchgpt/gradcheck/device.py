"""Wrap pairs that run on a device, so that checks on the host can call them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratchgpt.backends import Backend

Forward = Callable[..., tuple[Any, Any]]
Backward = Callable[..., Any]


def from_host(backend: Backend, forward: Forward, backward: Backward) -> tuple[Forward, Backward]:
    """Return a pair that takes and returns NumPy arrays but runs on the backend's device."""

    def forward_from_host(**inputs: Any) -> tuple[Any, Any]:
        y, saved = forward(**{name: _sent(backend, value) for name, value in inputs.items()})
        return _fetched(backend, y), saved

    def backward_from_host(saved: Any, dy: Any) -> Any:
        return _fetched(backend, backward(saved, _sent(backend, dy)))

    return forward_from_host, backward_from_host


def _sent(backend: Backend, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_sent(backend, part) for part in value)
    return backend.to_device(value) if isinstance(value, np.ndarray) else value


def _fetched(backend: Backend, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_fetched(backend, part) for part in value)
    return None if value is None else backend.to_host(value)
