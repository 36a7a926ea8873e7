"""How much memory does activation checkpointing save, and how much time does it cost?

python -m benchmarks.checkpointing
python -m benchmarks.checkpointing --models 12x6x384 --repeats 1 --turns 1 --no-json
"""

from rich.console import Console

import scratchgpt as sg
from benchmarks.memory import MIB, STEPS, above_imports
from benchmarks.memory_probe import probe
from benchmarks.models import ROWS, Row
from benchmarks.our_steps import training_step
from benchmarks.program import Benchmark, Options, Parser, add_models, add_repeats, add_turns, run
from benchmarks.results import Content
from benchmarks.tables import Table
from benchmarks.timing import median, spread, take_turns

MODELS = {
    "12x6x384": Row(sg.GPTConfig(65, 256, 12, 6, 384), 4),
    "12x12x768": ROWS["12x12x768"],
}
ENGINES = {"kept": "scratchgpt", "recomputed": "scratchgpt, recomputed"}  # by what happens to activations
REPEATS, TURNS, STEPS_PER_TURN = 3, 5, 2
VECTORS = 4  # with an element for each parameter: weights, gradients, two moments
FLOAT = 4  # bytes
TARGET = 2.5  # times less memory


def without_activations(row: Row, threads: int) -> int:
    """Return the bytes of weights, gradients and moments.

    Gradients are the sum over the micro-batches, and one gradient of the head (V, C) per thread, which the
    forward pass computes for its micro-batch.
    """
    head = row.config.vocab_size * row.config.n_embd
    return FLOAT * (VECTORS * row.n_params + threads * head)


def measure(options: Options, console: Console) -> Content:
    """Measure the models."""
    models: Content = {}
    for name in options.models:
        console.print(f"{name} ...")
        row, threads = MODELS[name], options.threads
        memory: Content = {way: [] for way in ENGINES}
        for _ in range(options.repeats):
            for way, engine in ENGINES.items():
                memory[way].append(probe(engine, row, threads, STEPS))
        steps = {way: training_step(row, threads, recompute=way == "recomputed") for way in ENGINES}
        seconds = take_turns(steps, options.turns, STEPS_PER_TURN)
        models[name] = {"memory": memory, "seconds": seconds}
    return {"models": models}


def add_options(parser: Parser) -> None:
    """Add which models to measure, and how often."""
    add_models(parser, MODELS)
    add_repeats(parser, REPEATS)
    add_turns(parser, TURNS, "variant, for the time")


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    for name, figures in content["models"].items():
        others = without_activations(MODELS[name], content["threads"])
        activations = {way: above_imports(figures["memory"][way]) - others for way in ENGINES}
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
    title = f"Peak memory in MiB and milliseconds per step, on {content['threads']} threads"
    note = (
        "peak: without the imports. activations: the peak minus four float32 vectors with an element for "
        "each parameter (weights, gradients, AdamW's two moments) and minus a gradient of the head (V, C) "
        "per thread. smaller: kept activations divided by these. longer: the median step divided by the "
        "median step with kept activations."
    )
    columns = ["model, activations", "peak", "activations", "smaller", "target", "ms", "longer"]
    return [Table(title, columns, lines, note)]


BENCHMARK = Benchmark(
    "checkpointing",
    "What does activation checkpointing save, and cost?",
    "Memory is measured as in the comparison with PyTorch: the high-water mark of the resident set of a "
    f"fresh process that takes {STEPS} training steps, minus the mark after the imports; the median of "
    "several processes. Weights, gradients and moments have a known size; what remains are the activations "
    "and the temporary arrays of the ops. For the time, both variants take turns in one process.",
    measure,
    tables,
    add_options=add_options,
)

if __name__ == "__main__":
    run(BENCHMARK)
