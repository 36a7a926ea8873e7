"""How fast is text generated? One text, greedily, compared with Hugging Face transformers.

python -m benchmarks.generate
python -m benchmarks.generate --models 4x4x128 --turns 2 --tokens 20 --no-json
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import NamedTuple

from rich.console import Console

import scratchgpt as sg
from benchmarks import peers
from benchmarks.elsewhere import INTEL_GENERATE
from benchmarks.engine_process import EngineProcess, take_turns_apart
from benchmarks.models import PROMPT_LENGTH, Continuation, weight_bytes
from benchmarks.program import Benchmark, Options, Parser, add_models, add_turns, positive, run
from benchmarks.rates import read_rate
from benchmarks.results import Content
from benchmarks.tables import Table, ratio_text, verdict
from benchmarks.timing import median, spread


class Row(NamedTuple):
    """A row of the table: a model, how many tokens it generates, and how often."""

    config: sg.GPTConfig
    n_new: int
    turns: int
    texts: int  # timed in a turn


ROWS = {
    "4x4x128": Row(sg.GPTConfig(65, 64, 4, 4, 128), 48, 8, 40),
    "6x6x384": Row(sg.GPTConfig(65, 256, 6, 6, 384), 192, 6, 2),
    "12x12x768": Row(sg.GPTConfig(50257, 1024, 12, 12, 768), 64, 6, 1),
}
TARGETS = {"4x4x128": 6.0, "6x6x384": 2.5, "12x12x768": 1.8}
EQUAL_TOKENS = 12  # that both engines must begin with; later ones may differ by rounding
ENGINES = ("scratchgpt", "transformers")
LARGER_THAN_CACHES = 128 * 2**20  # bytes of weights that no cache of the measured machines holds


def measure_row(row: Row, threads: int, turns: int, engines: Sequence[str]) -> Content:
    """Return a row's entry in the JSON file: its size, and the seconds of each text by engine."""
    workload = Continuation(row.config, min(row.n_new, row.config.block_size - PROMPT_LENGTH))
    with ExitStack() as stack:
        processes = {
            engine: stack.enter_context(closing(EngineProcess(engine, workload, threads)))
            for engine in engines
        }
        check_agreement({engine: process.first for engine, process in processes.items()})
        seconds = take_turns_apart(processes, turns, row.texts)
    return {
        "parameters": sg.GPT(row.config).size,
        "weight_bytes": weight_bytes(row.config),
        "prompt": PROMPT_LENGTH,
        "new_tokens": workload.n_new,
        "seconds": seconds,
    }


def check_agreement(texts: dict[str, list[int]]) -> None:
    """Raise RuntimeError unless all engines began with the same tokens and generated equally many."""
    expected = texts["scratchgpt"]
    for engine, text in texts.items():
        if text[:EQUAL_TOKENS] != expected[:EQUAL_TOKENS] or len(text) != len(expected):
            raise RuntimeError(
                f"{engine} generated {len(text)} tokens beginning with {text[:EQUAL_TOKENS]}, scratchgpt "
                f"{len(expected)} beginning with {expected[:EQUAL_TOKENS]}: they do not run the same model, "
                "so their speed cannot be compared"
            )


def measure(options: Options, console: Console) -> Content:
    """Measure the models."""
    with_peer = peers.are_installed(["torch", "transformers"], console)
    engines = ENGINES if with_peer else ENGINES[:1]
    rows = {}
    for name in options.models:
        console.print(f"{name} ...")
        row = ROWS[name]._replace(n_new=options.tokens or ROWS[name].n_new)
        rows[name] = measure_row(row, options.threads, options.turns or row.turns, engines)
    return {"read_rate": read_rate(options.threads), "rows": rows}


def add_options(parser: Parser) -> None:
    """Add which models to measure, how often, and the length of the text."""
    add_models(parser, ROWS)
    add_turns(parser, None)
    parser.add_argument(
        "--tokens", type=positive, help="new tokens of each text (default: depends on the model)"
    )


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    ratios: dict[str, float | None] = {}
    for name, row in content["rows"].items():
        rates = {
            engine: [row["new_tokens"] / seconds for seconds in row["seconds"][engine]]
            for engine in ENGINES
            if engine in row["seconds"]
        }
        ours = median(rates["scratchgpt"])
        ratios[name] = ours / median(rates["transformers"]) if "transformers" in rates else None
        is_large = row["weight_bytes"] > LARGER_THAN_CACHES
        lines.append(
            [
                name,
                f"{row['parameters']:,}",
                f"{row['prompt']} + {row['new_tokens']}",
                *[spread(rates[engine]).text(1) if engine in rates else "–" for engine in ENGINES],
                ratio_text(ratios[name]),
                f"{TARGETS[name]:.1f}" if name in TARGETS else "–",
                f"{ours * row['weight_bytes'] / content['read_rate']:.0%}" if is_large else "–",
            ]
        )
    columns = ["model", "parameters", "prompt + new", *ENGINES, "ratio", "target", "bandwidth"]
    title = f"New tokens per second, one text, on {content['threads']} threads: median, quartiles below"
    note = (
        f"{verdict('transformers', ratios)} All ratios hold for this machine only. "
        "ratio: our median divided by that of transformers. bandwidth, where the weights fit no cache: the "
        "bytes of weights that a token reads, times our tokens per second, divided by the "
        f"{content['read_rate'] / 1e9:.1f} GB/s at which NumPy reads memory on this machine (dot products of "
        "arrays of 128 MiB, a pair for each thread)."
    )
    return [Table(title, columns, lines, note.strip())]


BENCHMARK = Benchmark(
    "generate",
    "How fast is text generated?",
    "Greedy continuation of one prompt; the time includes the pass over the prompt. Our `generate_tokens` is "
    "compared with `GPT2LMHeadModel.generate(do_sample=False, use_cache=True)` of Hugging Face transformers, "
    f"with the same random weights in float32. The first {EQUAL_TOKENS} tokens must be the same, or the "
    "program stops. Each engine runs in its own process, as people run it, with the same number of threads. "
    "The engines take turns, after a pause and a text that is not timed, while the other one waits. (In one "
    "process the idle threads of one engine would slow the other.)",
    measure,
    tables,
    add_options=add_options,
    elsewhere=(INTEL_GENERATE,),
)

if __name__ == "__main__":
    run(BENCHMARK)
