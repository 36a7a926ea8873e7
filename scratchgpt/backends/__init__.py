"""The workshop: tables of ops, chosen by name."""

from collections.abc import Callable

from scratchgpt.backends import numpy, reference
from scratchgpt.backends.base import Backend, Op, Ops
from scratchgpt.errors import InputError

__all__ = ["BACKENDS", "Backend", "Op", "Ops", "get_backend"]

BACKENDS: dict[str, Callable[[int | None], Backend]] = {"reference": reference.create, "numpy": numpy.create}


def get_backend(name: str = "numpy", threads: int | None = None) -> Backend:
    """Return a backend by name.

    Args:
        name: "reference" (the textbook) or "numpy" (the default).
        threads: how many threads it may use; None means all cores.

    Raises:
        InputError: no such backend, or one that is not available here, or a bad `threads`.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; expected at least 1, or none for all cores")
    if name == "cupy":
        raise InputError(
            "backend 'cupy' is not available: this version of scratchgpt computes on the CPU only. "
            "The GPU backend is to follow; it will need CuPy, pip install 'scratchgpt[cuda12]' "
            "(or [cuda13] for newer drivers). Until then use --backend numpy"
        )
    if name not in BACKENDS:
        raise InputError(f"backend is {name!r}; expected {' or '.join(BACKENDS)}")
    return BACKENDS[name](threads)
