"""What does an adaptive softmax gain at a large vocabulary, compared with one full softmax?

python -m benchmarks.adaptive_softmax
python -m benchmarks.adaptive_softmax --turns 2 --no-json
"""

from dataclasses import replace

from rich.console import Console

import scratchgpt as sg
from benchmarks.memory import MIB, STEPS
from benchmarks.memory_probe import probe
from benchmarks.models import Row, random_batch
from benchmarks.our_steps import training_step
from benchmarks.program import Benchmark, Options, Parser, add_turns, run
from benchmarks.results import Content
from benchmarks.tables import Table
from benchmarks.timing import median, spread, take_turns
from scratchgpt.ops.adaptive_softmax import assign

TURNS = 5
BATCH_SIZE = 8
UNTIED = sg.GPTConfig(32_000, block_size=128, n_layer=2, n_head=4, n_embd=256, tie_weights=False)
CONFIGS = {
    "one softmax, tied": replace(UNTIED, tie_weights=True),
    "one softmax": UNTIED,
    "adaptive, 2000 and 10000": replace(UNTIED, adaptive_cutoffs=(2_000, 10_000)),
    "adaptive, 4000": replace(UNTIED, adaptive_cutoffs=(4_000,)),
}
HEADS = {name: Row(config, BATCH_SIZE, zipf=True) for name, config in CONFIGS.items()}


def targets_by_cluster(row: Row) -> list[int]:
    """Return how many targets of the batch fall into the head, and into each tail."""
    _, targets = random_batch(row)
    cutoffs = (*(row.config.adaptive_cutoffs or ()), row.config.vocab_size)
    _, tails = assign(targets, cutoffs)
    in_tails = [tail.rows.size for tail in tails]
    return [targets.size - sum(in_tails), *in_tails]


def measure(options: Options, console: Console) -> Content:
    """Measure every head."""
    steps = {head: training_step(row, options.threads) for head, row in HEADS.items()}
    seconds = take_turns(steps, options.turns)
    heads: Content = {
        head: {
            "step": seconds[head],
            "memory": probe("scratchgpt", row, options.threads, STEPS),
            "n_params": row.n_params,
            "targets": targets_by_cluster(row),
        }
        for head, row in HEADS.items()
    }
    return {"heads": heads}


def add_options(parser: Parser) -> None:
    """Add how often to measure."""
    add_turns(parser, TURNS, "head")


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    full = median(content["heads"]["one softmax"]["step"])
    for name, figures in content["heads"].items():
        lines.append(
            [
                name,
                spread(figures["step"], 1e3).text(0),
                f"{full / median(figures['step']):.2f}",
                f"{(figures['memory']['peak'] - figures['memory']['imported']) / MIB:,.0f}",
                f"{figures['n_params']:,}",
                " + ".join(map(str, figures["targets"])),
            ]
        )
    title = (
        f"2 layers of 256 channels, a vocabulary of 32,000, {BATCH_SIZE} texts of 128 tokens, on "
        f"{content['threads']} threads: median, quartiles below"
    )
    note = (
        "step: milliseconds of forward, backward, clipping and AdamW. speed-up: the step with one untied "
        f"softmax divided by this one. MiB: the peak of a fresh process that takes {STEPS} steps, minus what "
        "the imports take. targets: in the head, then in each tail."
    )
    columns = ["head", "step", "speed-up", "MiB", "parameters", "targets"]
    return [Table(title, columns, lines, note)]


BENCHMARK = Benchmark(
    "adaptive_softmax",
    "What does an adaptive softmax gain?",
    "Training steps of a small model with a large vocabulary, whose head is one softmax or an adaptive one, "
    "on random ids with probabilities proportional to 1 / (id + 1) (Zipf's law). For the time, all heads "
    "take turns in one process; memory is measured in a fresh process for each.",
    measure,
    tables,
    add_options=add_options,
)

if __name__ == "__main__":
    run(BENCHMARK)
