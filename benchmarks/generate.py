"""How fast is text written: one text, greedily, beside Hugging Face transformers with the same weights.

python -m benchmarks.generate
python -m benchmarks.generate --rows 4x4x128 --turns 2 --tokens 20 --no-json
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import NamedTuple

import scratchgpt as sg
from benchmarks import peers
from benchmarks.engine_process import EngineProcess, take_turns_apart
from benchmarks.engine_server import ENGINES
from benchmarks.models import PROMPT, Writing, weight_bytes
from benchmarks.program import Benchmark, Content, new_console, options_of, positive, publish, read_options
from benchmarks.rates import read_rate
from benchmarks.tables import Table, ratio_text
from benchmarks.timing import median, spread


class Row(NamedTuple):
    """A model, how many tokens it writes, and how often."""

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
SAME = 12  # tokens that both must write alike; later ones may differ by rounding
WRITERS = list(ENGINES[Writing])
LARGE = 128 * 2**20  # bytes of weights that no cache here holds


def measure_row(row: Row, threads: int, turns: int, engines: Sequence[str]) -> Content:
    """Return what the JSON file says of a row: its size, and the seconds of each text by engine."""
    writing = Writing(row.config, min(row.n_new, row.config.block_size - PROMPT))
    with ExitStack() as stack:
        processes = {
            engine: stack.enter_context(closing(EngineProcess(engine, writing, threads)))
            for engine in engines
        }
        must_agree({engine: process.first for engine, process in processes.items()})
        seconds = take_turns_apart(processes, turns, row.texts)
    return {
        "parameters": sg.GPT(row.config).size,
        "weight_bytes": weight_bytes(row.config),
        "prompt": PROMPT,
        "new_tokens": writing.n_new,
        "seconds": seconds,
    }


def must_agree(texts: dict[str, list[int]]) -> None:
    """Raise unless all engines began alike and wrote as much."""
    expected = texts["scratchgpt"]
    for engine, text in texts.items():
        if text[:SAME] != expected[:SAME] or len(text) != len(expected):
            raise RuntimeError(
                f"{engine} wrote {len(text)} tokens that begin {text[:SAME]}, scratchgpt {len(expected)} "
                f"that begin {expected[:SAME]}: not the same model, so no comparison"
            )


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    for name, row in content["rows"].items():
        rates = {
            engine: [row["new_tokens"] / seconds for seconds in row["seconds"][engine]]
            for engine in WRITERS
            if engine in row["seconds"]
        }
        mine = median(rates["scratchgpt"])
        ratio = mine / median(rates["transformers"]) if "transformers" in rates else None
        is_large = row["weight_bytes"] > LARGE
        lines.append(
            [
                name,
                f"{row['parameters']:,}",
                f"{row['prompt']} + {row['new_tokens']}",
                *[spread(rates[engine]).text(1) if engine in rates else "–" for engine in WRITERS],
                ratio_text(ratio),
                f"{TARGETS[name]:.1f}" if name in TARGETS else "–",
                f"{mine * row['weight_bytes'] / content['read_rate']:.0%}" if is_large else "–",
            ]
        )
    columns = ["model", "parameters", "prompt + new", *WRITERS, "ratio", "target", "bandwidth"]
    title = f"New tokens per second, one text, on {content['threads']} threads: median, quartiles below"
    note = (
        "ratio: our median by that of transformers. bandwidth, where the weights fit no cache: the bytes of "
        "weights that a token reads, times our tokens per second, by the "
        f"{content['read_rate'] / 1e9:.1f} GB/s at which NumPy reads memory here (dot products of arrays of "
        "128 MiB, a pair for each thread)."
    )
    return [Table(title, columns, lines, note)]


BENCHMARK = Benchmark(
    "generate",
    "How fast is text written?",
    "Greedy continuation of one prompt, the prompt's own pass included in the time: our `generate_tokens` "
    "beside `GPT2LMHeadModel.generate(do_sample=False, use_cache=True)` of Hugging Face transformers, with "
    f"the same random weights in float32. The first {SAME} tokens must be the same, or the program stops. "
    "Each engine has a process of its own, as people run them, and as many threads as the other; they take "
    "turns after a pause and a text that is not timed, while the other waits. (In one process the idle "
    "threads of one engine would disturb the other.)",
    tables,
)


def main() -> None:
    """Measure the rows."""
    parser = options_of(BENCHMARK)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="which models")
    parser.add_argument("--turns", type=positive, help="of each engine; default: depends on the row")
    parser.add_argument("--tokens", type=positive, help="new tokens; default: depends on the row")
    options = read_options(parser)
    console = new_console()
    with_peer = peers.are_installed(["torch", "transformers"], console)
    engines = WRITERS if with_peer else ["scratchgpt"]
    rows = {}
    for name in options.rows:
        console.print(f"model {name} ...", highlight=False)
        row = ROWS[name]._replace(n_new=options.tokens or ROWS[name].n_new)
        rows[name] = measure_row(row, options.threads, options.turns or row.turns, engines)
    publish(BENCHMARK, {"read_rate": read_rate(options.threads), "rows": rows}, options, console)


if __name__ == "__main__":
    main()
