"""How much faster is each pair of the `numpy` backend than the textbook's? Each alone, on one thread.

python -m benchmarks.kernels
python -m benchmarks.kernels --models 4x4x128 --turns 3 --no-json
"""

import time
from typing import Any

from rich.console import Console

import scratchgpt as sg
from benchmarks.models import ROWS, Row
from benchmarks.op_inputs import op_inputs, upstream_gradient
from benchmarks.program import Benchmark, Options, Parser, add_models, add_turns, run
from benchmarks.results import Content
from benchmarks.tables import Table
from benchmarks.timing import STEPS, median, spread
from scratchgpt.backends import Op
from scratchgpt.backends.base import blas_threads

TURNS = 20
MODELS = ["4x4x128", "6x6x384"]
Seconds = dict[str, dict[str, list[float]]]  # by half ("forward", "backward"), then by backend


def replaced() -> dict[str, dict[str, Op]]:
    """Return every pair that the numpy backend replaces, next to the textbook's, by the op's name."""
    textbook, ours = (vars(sg.get_backend(name).ops) for name in ("reference", "numpy"))
    return {
        name: {"reference": textbook[name], "numpy": op}
        for name, op in ours.items()
        if op is not textbook[name]
    }


def measure_op(name: str, pairs: dict[str, Op], row: Row, turns: int) -> Seconds:
    """Return the seconds of each call; the backends take turns, and every backward follows its forward."""
    inputs = op_inputs(name, pairs["reference"], row)
    y, _ = pairs["reference"].forward(**inputs)
    dy = upstream_gradient(y)
    seconds: Seconds = {half: {backend: [] for backend in pairs} for half in ("forward", "backward")}
    for _ in range(turns):
        for backend, op in pairs.items():
            laps = [_laps(op, inputs, dy) for _ in range(1 + STEPS)]
            for forward, backward in laps[1:]:
                seconds["forward"][backend].append(forward)
                seconds["backward"][backend].append(backward)
    return seconds


def _laps(op: Op, inputs: dict[str, Any], dy: Any) -> tuple[float, float]:
    """Return the seconds of a forward and of its backward."""
    started = time.perf_counter()
    _, saved = op.forward(**inputs)
    between = time.perf_counter()
    op.backward(saved, dy)
    return between - started, time.perf_counter() - between


def measure(options: Options, console: Console) -> Content:
    """Measure every replaced pair at the sizes of the models."""
    with blas_threads(1):
        rows = {
            model: {
                name: measure_op(name, pairs, ROWS[model], options.turns)
                for name, pairs in replaced().items()
            }
            for model in options.models
        }
    return {"rows": rows}


def add_options(parser: Parser) -> None:
    """Add the models whose sizes are measured, and how often."""
    add_models(parser, ROWS, MODELS)
    add_turns(parser, TURNS, "backend")


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    for model, ops in content["rows"].items():
        for name, halves in ops.items():
            for half, seconds in {**halves, "both": _both(halves)}.items():
                ratio = median(seconds["reference"]) / median(seconds["numpy"])
                cells = [spread(seconds[backend], 1e6).text(0) for backend in ("reference", "numpy")]
                lines.append([name, half, model, *cells, f"{ratio:.2f}", "" if ratio > 1.0 else "slower"])
    title = "Microseconds per call on one thread: median, quartiles below"
    note = (
        "ratio: the median of the textbook's pair divided by that of the pair that replaces it. A pair may "
        "compute in forward what the textbook computes in backward, so compare both halves together."
    )
    columns = ["op", "half", "sizes of", "reference", "numpy", "ratio", ""]
    return [Table(title, columns, lines, note)]


def _both(halves: Seconds) -> dict[str, list[float]]:
    """Return the seconds of each forward call together with its backward."""
    forward, backward = halves["forward"], halves["backward"]
    return {name: [a + b for a, b in zip(forward[name], backward[name], strict=True)] for name in forward}


BENCHMARK = Benchmark(
    "kernels",
    "How much does each faster op gain?",
    "Every (forward, backward) pair that the `numpy` backend replaces, compared with the textbook's, on "
    "float32 arrays of the model's sizes (up to 1024 tokens), with BLAS on one thread. The two take turns.",
    measure,
    tables,
    add_options=add_options,
    has_threads=False,
)

if __name__ == "__main__":
    run(BENCHMARK)
