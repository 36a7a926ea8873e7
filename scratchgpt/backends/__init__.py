"""Backends, which run the ops, by name. `BACKENDS` is the only list of them."""

import inspect
from collections.abc import Callable
from typing import Any

from scratchgpt.backends import cupy, numpy, reference
from scratchgpt.backends.base import Backend, Op, Ops
from scratchgpt.errors import InputError

__all__ = ["BACKENDS", "Backend", "Op", "Ops", "get_backend"]

BACKENDS: dict[str, Callable[..., Backend]] = {
    "reference": reference.create,
    "numpy": numpy.create,
    "cupy": cupy.create,
}


def get_backend(
    name: str = "numpy",
    threads: int | None = None,
    *,
    precision: str = "float32",
    graph: bool = False,
    device: int | None = None,
) -> Backend:
    """Return a backend by name.

    Args:
        name: "reference" (plain NumPy), "numpy" (the default, fast on a CPU) or "cupy" (on a GPU).
        threads: number of CPU threads; None means one per core.
        precision: "float32"; on a GPU also "tf32", "bf16" or "float16".
        graph: on a GPU, whether to capture the training step in a CUDA graph and replay it.
        device: index of the GPU; None means the first.

    Raises:
        InputError: the backend is unknown or not available on this machine, or it does not take a setting.
    """
    if name not in BACKENDS:
        raise InputError(f"backend is {name!r}; expected one of {', '.join(BACKENDS)}")
    given = {"threads": threads, "precision": precision, "graph": graph, "device": device}
    defaults = inspect.signature(get_backend).parameters
    settings = {setting: value for setting, value in given.items() if value != defaults[setting].default}
    for setting, value in settings.items():
        if setting not in settings_of(name):
            others = " or ".join(other for other in BACKENDS if setting in settings_of(other))
            raise InputError(
                f"{setting} is {_shown(value)}, but the {name} backend has no such setting; leave it out, or "
                f"use --backend {others}"
            )
    return BACKENDS[name](**settings)


def settings_of(name: str) -> list[str]:
    """Return the names of the settings that a backend takes."""
    return list(inspect.signature(BACKENDS[name]).parameters)


def _shown(value: Any) -> str:
    """Return a setting as users type it, with true and false in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
