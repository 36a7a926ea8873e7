"""Where the time of a training step goes: events around every kernel launch and every matrix product."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import scratchgpt as sg
from benchmarks.gpu.job import Job
from benchmarks.models import random_batch
from scratchgpt.ops.rng import step_rng
from scratchgpt.training.step import TrainingStep

STEPS = 5  # that are measured, each by itself
HEAD_START = 4  # large products that keep the device busy while the host prepares the step
KERNELS = "scratchgpt.backends.cupy.kernels"


class Record(NamedTuple):
    """One launch: of what, and the events before and after it (None where time is not taken)."""

    name: str
    before: Any
    after: Any


@contextmanager
def watch(timed: bool = True) -> Iterator[list[Record]]:
    """Note every kernel that is launched inside, and every matrix product by its shape."""
    cupy: Any = importlib.import_module("cupy")
    kernels: Any = importlib.import_module(KERNELS)
    gemm: Any = importlib.import_module("scratchgpt.backends.cupy.gemm").Gemm
    records: list[Record] = []
    launch, multiply = kernels.launch, gemm.__call__

    def around(name: str, function: Any, *args: Any, **kwargs: Any) -> Any:
        before = cupy.cuda.Event() if timed else None
        after = cupy.cuda.Event() if timed else None
        if before is not None:
            before.record()
        result = function(*args, **kwargs)
        if after is not None:
            after.record()
        records.append(Record(name, before, after))
        return result

    def noted_launch(file: str, name: str, *args: Any, **kwargs: Any) -> Any:
        return around(f"{file}: {name}", launch, file, name, *args, **kwargs)

    def noted_multiply(self: Any, a: Any, b: Any, **kwargs: Any) -> Any:
        return around(_product(a, b, kwargs), multiply, self, a, b, **kwargs)

    places = _places_of(launch)
    for place in places:
        place.launch = noted_launch
    gemm.__call__ = noted_multiply
    try:
        yield records
    finally:
        for place in places:
            place.launch = launch
        gemm.__call__ = multiply


def _places_of(launch: Any) -> list[Any]:
    """Return the modules that have `launch` under that name."""
    importlib.import_module("scratchgpt.backends.cupy.backend")  # which imports all of them
    modules = [module for name, module in sys.modules.items() if name.startswith("scratchgpt.backends.cupy")]
    return [module for module in modules if vars(module).get("launch") is launch]


def _product(a: Any, b: Any, options: dict[str, Any]) -> str:
    """Return a name for a product: rows × inner × columns."""
    m, k = a.shape[::-1] if options.get("transpose_a") else a.shape
    n = b.shape[0 if options.get("transpose_b") else 1]
    return f"product {m}×{k}×{n}"


def profile(job: Job, row_name: str) -> None:
    """Measure a bf16 step without a graph."""
    row = job.row(row_name)
    backend = sg.get_backend("cupy", precision="bf16")
    cupy: Any = importlib.import_module("cupy")
    model = sg.GPT(row.config)
    params = model.init().map(backend.to_device)
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 1.0)
    x, y = random_batch(row)
    side = 64 if job.emulated else 8192
    square = backend.to_device(np.ones((side, side), dtype=np.float32))
    n_steps = 1 if job.emulated else STEPS
    totals: list[float] = []
    milliseconds: dict[str, list[float]] = {}
    for step in range(n_steps + 2):
        take_step(x, y, 1e-3, step_rng(1, step))
        cupy.cuda.Device().synchronize()
        if step < 2:  # kernels are compiled and pools filled
            continue
        for _ in range(HEAD_START):
            backend.ops.linear.forward(square, square)
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        with watch() as records:
            start.record()
            take_step(x, y, 1e-3, step_rng(1, step))
            end.record()
        end.synchronize()
        totals.append(cupy.cuda.get_elapsed_time(start, end))
        for record in records:
            elapsed = cupy.cuda.get_elapsed_time(record.before, record.after)
            milliseconds.setdefault(record.name, []).append(elapsed)
    rows: list[dict[str, Any]] = [
        {"name": name, "count": len(each) / n_steps, "milliseconds": sum(each) / n_steps}
        for name, each in milliseconds.items()
    ]
    rows.sort(key=lambda each: each["milliseconds"], reverse=True)
    job.save(
        {
            "batch_size": row.batch_size,
            "steps": n_steps,
            "milliseconds": sum(totals) / n_steps,  # of a step, from its first to its last kernel
            "kernels": rows,
        }
    )


TASKS = {"124M": lambda job: profile(job, "124M"), "6x6x384": lambda job: profile(job, "6x6x384")}
