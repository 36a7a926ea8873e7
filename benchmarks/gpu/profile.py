"""Where the time of a training step goes: events around every kernel launch and matrix product."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import scratchgpt as sg
from benchmarks.gpu.job import Job
from benchmarks.models import random_batch
from scratchgpt.ops.rng import step_rng
from scratchgpt.training.step import TrainingStep

STEPS = 5  # measured, each on its own
WARM_UP = 2  # steps before them, in which kernels are compiled and pools filled
HEAD_START = 4  # large products that keep the device busy while the host enqueues the step
SIDE = 8192  # of their matrices
KERNELS = "scratchgpt.backends.cupy.kernels"


class Record(NamedTuple):
    """One launch: the kernel's name, and the events before and after it (None without timing)."""

    name: str
    before: Any
    after: Any


@contextmanager
def recorded_launches(timed: bool = True) -> Iterator[list[Record]]:
    """Give a list that receives every kernel launch and every matrix product inside the block."""
    cupy: Any = importlib.import_module("cupy")
    kernels: Any = importlib.import_module(KERNELS)
    gemm: Any = importlib.import_module("scratchgpt.backends.cupy.gemm").Gemm
    records: list[Record] = []
    launch, multiply = kernels.launch, gemm.__call__

    def recorded(name: str, function: Any, *args: Any, **kwargs: Any) -> Any:
        before = cupy.cuda.Event() if timed else None
        after = cupy.cuda.Event() if timed else None
        if before is not None:
            before.record()
        result = function(*args, **kwargs)
        if after is not None:
            after.record()
        records.append(Record(name, before, after))
        return result

    def recorded_launch(file: str, name: str, *args: Any, **kwargs: Any) -> Any:
        return recorded(f"{file}: {name}", launch, file, name, *args, **kwargs)

    def recorded_multiply(self: Any, a: Any, b: Any, **kwargs: Any) -> Any:
        return recorded(_product(a, b, kwargs), multiply, self, a, b, **kwargs)

    modules = _modules_with(launch)
    for module in modules:
        module.launch = recorded_launch
    gemm.__call__ = recorded_multiply
    try:
        yield records
    finally:
        for module in modules:
            module.launch = launch
        gemm.__call__ = multiply


def _modules_with(launch: Any) -> list[Any]:
    """Return the modules that have imported the function `launch`."""
    importlib.import_module("scratchgpt.backends.cupy.backend")  # it imports all of them
    modules = [module for name, module in sys.modules.items() if name.startswith("scratchgpt.backends.cupy")]
    return [module for module in modules if vars(module).get("launch") is launch]


def _product(a: Any, b: Any, options: dict[str, Any]) -> str:
    """Return the name of a product: rows × inner × columns."""
    m, k = a.shape[::-1] if options.get("transpose_a") else a.shape
    n = b.shape[0 if options.get("transpose_b") else 1]
    return f"product {m}×{k}×{n}"


def profile(job: Job, row_name: str) -> None:
    """Measure the kernels of bf16 steps, taken without a graph."""
    row = job.row(row_name)
    backend = sg.get_backend("cupy", precision="bf16")
    cupy: Any = importlib.import_module("cupy")
    model = sg.GPT(row.config)
    params = model.init().map(backend.to_device)
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), 1.0)
    x, y = random_batch(row)
    side = 64 if job.emulated else SIDE
    square = backend.to_device(np.ones((side, side), dtype=np.float32))
    n_steps = 1 if job.emulated else STEPS
    totals: list[float] = []
    milliseconds: dict[str, list[float]] = {}
    for step in range(WARM_UP + n_steps):
        take_step(x, y, 1e-3, step_rng(1, step))
        cupy.cuda.Device().synchronize()
        if step < WARM_UP:
            continue
        for _ in range(HEAD_START):
            backend.ops.linear.forward(square, square)
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        with recorded_launches() as records:
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


TASKS = {row: partial(profile, row_name=row) for row in ("124M", "6x6x384")}
