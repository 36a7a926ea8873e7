"""The workshop: tables of ops, chosen by name."""

from collections.abc import Callable

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
        name: "reference" (the textbook), "numpy" (the default, fast on a CPU) or "cupy" (on a GPU).
        threads: how many threads it may use on a CPU; None means all cores.
        precision: "float32"; on a GPU also "tf32", "bf16" or "float16".
        graph: on a GPU, whether the training step is recorded once and replayed.
        device: the number of the GPU; None means the first.

    Raises:
        InputError: no such backend, or one that is not available here, or a setting that it does not have.
    """
    if name not in BACKENDS:
        raise InputError(f"backend is {name!r}; expected one of {', '.join(BACKENDS)}")
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; expected at least 1, or none for all cores")
    if device is not None and (not isinstance(device, int) or isinstance(device, bool)):
        raise InputError(f"device is {device!r}; expected a whole number, or none for the first GPU")
    if name == "cupy":
        if threads is not None:
            raise InputError(f"threads is {threads}; expected none with --backend cupy")
        return cupy.create(precision, graph, device)
    for setting, value, expected in (("precision", precision, "float32"), ("graph", graph, False)):
        if value != expected:
            shown = str(expected).lower() if isinstance(expected, bool) else repr(expected)
            given = str(value).lower() if isinstance(value, bool) else repr(value)
            raise InputError(f"{setting} is {given}; expected {shown}, unless with --backend cupy")
    if device is not None:
        raise InputError(f"device is {device}; expected none, unless with --backend cupy")
    return BACKENDS[name](threads)
