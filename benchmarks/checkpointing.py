"""What does it save, and cost, to compute every block's activations again in backward?

python -m benchmarks.checkpointing
python -m benchmarks.checkpointing --models 12x6x384 --repeats 1 --turns 1 --no-json
"""

import json
import subprocess
import sys

from benchmarks.checkpointing_probe import MODELS
from benchmarks.memory import MIB, above_imports
from benchmarks.models import Row
from benchmarks.our_steps import training_step
from benchmarks.program import (
    ROOT,
    Benchmark,
    Content,
    new_console,
    options_of,
    positive,
    publish,
    read_options,
)
from benchmarks.tables import Table
from benchmarks.timing import median, spread, take_turns

WAYS = {"kept": False, "recomputed": True}
STEPS, REPEATS, TURNS = 3, 3, 5
VECTORS = 4  # of the parameters' length: weights, gradients, two moments
FLOAT = 4  # bytes
TARGET = 2.5


def probe(model: str, recompute: bool, threads: int) -> dict[str, int]:
    """Return the peak of a fresh process's memory in bytes after the imports, and after some steps."""
    arguments = [model, str(int(recompute)), str(threads), str(STEPS)]
    command = [sys.executable, "-m", "benchmarks.checkpointing_probe", *arguments]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def without_activations(row: Row, threads: int) -> int:
    """Return the bytes of weights, gradients and moments.

    Gradients are the sum, and the head's (V, C) of each thread's micro-batch, which forward computes.
    """
    head = row.config.vocab_size * row.config.n_embd
    return FLOAT * (VECTORS * row.n_params + threads * head)


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    for name, figures in content["models"].items():
        others = without_activations(MODELS[name], content["threads"])
        activations = {way: above_imports(figures["memory"][way]) - others for way in WAYS}
        for way, taken in activations.items():
            seconds = figures["seconds"][way]
            lines.append(
                [
                    f"{name}, {way}",
                    f"{above_imports(figures['memory'][way]) / MIB:,.0f}",
                    f"{taken / MIB:,.0f}",
                    f"{activations['kept'] / taken:.2f}",
                    "" if way == "kept" else f"{TARGET}",
                    spread(seconds, 1e3).text(0),
                    f"{median(seconds) / median(figures['seconds']['kept']):.2f}",
                ]
            )
    title = f"MiB at the peak and milliseconds of a step, on {content['threads']} threads"
    note = (
        "peak: above the imports. activations: the peak less four float32 vectors of the parameters' length "
        "(weights, gradients, AdamW's two moments) and less the head's gradient (V, C) in each thread. "
        "smaller: the activations if they are kept by these. longer: a step's median by that of a step whose "
        "activations are kept."
    )
    columns = ["model, activations", "peak", "activations", "smaller", "target", "ms", "longer"]
    return [Table(title, columns, lines, note)]


BENCHMARK = Benchmark(
    "checkpointing",
    "What does gradient checkpointing save, and cost?",
    "Memory as in the comparison with PyTorch: the high-water mark of the resident set of a fresh process "
    f"that takes {STEPS} training steps, less the mark after the imports; the median of several processes. "
    "What remains without weights, gradients and moments, whose size is known, are the activations, and "
    "whatever ops need while they run. Time: steps of both kinds take turns in one process.",
    tables,
)


def main() -> None:
    """Measure the models."""
    parser = options_of(BENCHMARK)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="which ones")
    parser.add_argument("--repeats", type=positive, default=REPEATS, help="processes of each kind")
    parser.add_argument("--turns", type=positive, default=TURNS, help="turns of each kind, for the time")
    options = read_options(parser)
    console = new_console()
    models: Content = {}
    for name in options.models:
        console.print(f"model {name} ...", highlight=False)
        row, threads = MODELS[name], options.threads
        memory: Content = {way: [] for way in WAYS}
        for _ in range(options.repeats):
            for way, recompute in WAYS.items():
                memory[way].append(probe(name, recompute, threads))
        steps = {way: training_step(row, threads, recompute) for way, recompute in WAYS.items()}
        models[name] = {"memory": memory, "seconds": take_turns(steps, options.turns, steps=2)}
    publish(BENCHMARK, {"models": models}, options, console)


if __name__ == "__main__":
    main()
