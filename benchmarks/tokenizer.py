"""How fast is the byte-pair tokenizer? Training and encoding on one core, compared with two libraries.

python -m benchmarks.tokenizer   # on Tiny Shakespeare among the shared data
python -m benchmarks.tokenizer --data some.txt --repeats 3 --no-json
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import peers
from benchmarks.program import Benchmark, Options, Parser, add_repeats, run
from benchmarks.results import Content
from benchmarks.shakespeare import add_text, shared_data, text_or_exit
from benchmarks.tables import Table, ratio_text, verdict
from benchmarks.timing import median
from benchmarks.tokenizer_textbook import lengths_during_training, textbook_seconds
from scratchgpt.tokenizers import BPETokenizer
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.gpt2_files import load_gpt2
from scratchgpt.tokenizers.split_patterns import GPT2

VOCAB_SIZES = (1024, 10_000)
REPEATS, TEXTBOOK_MERGES = 7, 24
LIBRARIES = ["tokenizers", "tiktoken"]
ENGINES = ("scratchgpt", *LIBRARIES)
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
Encode = Callable[[str], Any]  # from a text to the sequence of its ids
Prepare = Callable[[], Callable[[], object]]  # returns a function that is called and timed once


def train(text: str, vocab_size: int) -> BPETokenizer:
    """Train our tokenizer on a text."""
    return train_bpe(count_chunks([text], GPT2), vocab_size, GPT2, [])


def with_empty_cache(tokenizer: BPETokenizer) -> BPETokenizer:
    """Return a copy of the tokenizer that has encoded nothing yet."""
    return BPETokenizer(tokenizer.token_ids, tokenizer.merges, tokenizer.pattern, tokenizer.special_ids)


def cpu_seconds(actions: Mapping[str, Prepare], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of CPU time of each call, by action; the actions take turns.

    On one core CPU time is wall time without the time that other programs take.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, prepare in actions.items():
            action = prepare()
            started = time.process_time()
            action()
            seconds[name].append(time.process_time() - started)
    return seconds


def measure_training(text: str, vocab_size: int, repeats: int, theirs: Any | None) -> Content:
    """Return the seconds of training by engine, and what the textbook's time is extrapolated from."""
    actions: dict[str, Prepare] = {"scratchgpt": lambda: lambda: train(text, vocab_size)}
    if theirs:
        actions["tokenizers"] = lambda: lambda: theirs.train(text, vocab_size)
    ours = train(text, vocab_size)
    lengths = lengths_during_training(ours, text)
    seconds, seen = textbook_seconds(text, min(TEXTBOOK_MERGES, len(lengths)), ours)
    if seen != lengths[: len(seen)]:
        raise RuntimeError(
            "the textbook's merges leave another number of tokens than ours; their speed cannot be compared"
        )
    return {
        "vocab_size": ours.vocab_size,
        "seconds": cpu_seconds(actions, repeats),
        "textbook": {"seconds": seconds, "tokens_passed": sum(seen), "tokens_to_pass": sum(lengths)},
    }


def measure_encoding(tokenizer: BPETokenizer, text: str, repeats: int, theirs: Any | None) -> Content:
    """Return the seconds of encoding by tokenizers that have encoded nothing (cold), or this text (warm)."""
    makers: dict[str, Callable[[], Encode]] = {"scratchgpt": lambda: with_empty_cache(tokenizer).encode}
    if theirs:
        makers["tokenizers"] = lambda: theirs.hugging_face(tokenizer)
        makers["tiktoken"] = lambda: theirs.tiktoken_of(tokenizer)
    expected = tokenizer.encode(text)
    warmed = {name: make() for name, make in makers.items()}
    for name, encode in warmed.items():
        if not np.array_equal(encode(text), expected):
            raise RuntimeError(
                f"{name} and scratchgpt encode the text differently; cannot compare their speed"
            )
    return {
        "vocab_size": tokenizer.vocab_size,
        "tokens": len(expected),
        "cold": cpu_seconds({name: _cold(make, text) for name, make in makers.items()}, repeats),
        "warm": cpu_seconds({name: _warm(encode, text) for name, encode in warmed.items()}, repeats),
    }


def _cold(make: Callable[[], Encode], text: str) -> Prepare:
    def prepare() -> Callable[[], object]:
        encode = make()
        return lambda: encode(text)

    return prepare


def _warm(encode: Encode, text: str) -> Prepare:
    return lambda: lambda: encode(text)


@contextmanager
def one_core() -> Iterator[None]:
    """Pin this process to one core inside the block, where the system can."""
    if not hasattr(os, "sched_setaffinity"):  # Linux only
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def measure(options: Options, console: Console) -> Content:
    """Measure training and encoding."""
    os.environ |= ONE_THREAD  # before the libraries are imported
    text = text_or_exit(options, console).read_text(encoding="utf-8")
    theirs = peers.load("tokenizer_peers", LIBRARIES, console)
    figures: Content = {"bytes": len(text.encode()), "training": [], "encoding": {}}
    figures["libraries"] = {name: version(name) for name in LIBRARIES} if theirs else {}
    with one_core():
        for vocab_size in VOCAB_SIZES:
            console.print(f"training a vocabulary of {vocab_size:,} ...")
            figures["training"].append(measure_training(text, vocab_size, options.repeats, theirs))
        tokenizers = {f"our {vocab_size:,}": train(text, vocab_size) for vocab_size in VOCAB_SIZES}
        gpt2 = shared_data() / "gpt2"
        if gpt2.is_dir():
            tokenizers["GPT-2's 50,257"] = load_gpt2(gpt2)
        for name, tokenizer in tokenizers.items():
            console.print(f"encoding with {name} ...")
            figures["encoding"][name] = measure_encoding(tokenizer, text, options.repeats, theirs)
    return figures


def add_options(parser: Parser) -> None:
    """Add the text, and how often to measure."""
    add_text(parser)
    add_repeats(parser, REPEATS)


def tables(content: Content) -> list[Table]:
    """Return the tables of training and of encoding."""
    return [_training_table(content), _encoding_table(content)]


def _training_table(content: Content) -> Table:
    lines = []
    ratios: dict[str, float | None] = {}
    for row in content["training"]:
        ours, theirs = (row["seconds"].get(engine) for engine in ("scratchgpt", "tokenizers"))
        textbook = row["textbook"]
        whole = sum(textbook["seconds"]) * textbook["tokens_to_pass"] / textbook["tokens_passed"]
        name = f"{row['vocab_size']:,}"
        ratios[name] = median(theirs) / median(ours) if theirs else None
        lines.append(
            [
                name,
                _seconds_text(ours),
                _seconds_text(theirs) if theirs else "–",
                ratio_text(ratios[name]),
                f"≈ {whole:,.0f}",
                f"≈ {whole / median(ours):,.0f}",
            ]
        )
    columns = ["vocabulary", "scratchgpt", "tokenizers", "ratio", "textbook", "ratio"]
    title = f"Seconds to train on {content['bytes']:,} bytes, on one core: median, minimum below"
    note = (
        f"{verdict('tokenizers', ratios)} The time includes splitting the text into chunks. ratio: the other "
        "seconds divided by ours. textbook: passes over the whole text for every merge, in Python; "
        f"extrapolated, not measured: the seconds per token of the first {TEXTBOOK_MERGES} merges, times the "
        "tokens that all merges pass over."
    )
    return Table(title, columns, lines, note.strip())


def _encoding_table(content: Content) -> Table:
    lines = []
    ratios: dict[str, dict[str, float | None]] = {engine: {} for engine in LIBRARIES}
    for name, row in content["encoding"].items():
        for state in ("cold", "warm"):
            rates = {
                engine: [content["bytes"] / 1e6 / each for each in seconds]
                for engine, seconds in row[state].items()
            }
            for engine, found in ratios.items():
                is_known = engine in rates
                found[f"{name} {state}"] = (
                    median(rates["scratchgpt"]) / median(rates[engine]) if is_known else None
                )
            cells = [_rates_text(rates.get(engine)) for engine in ENGINES]
            by_library = [ratio_text(found[f"{name} {state}"]) for found in ratios.values()]
            lines.append([name, state, *cells, *by_library])
    columns = ["vocabulary", "cache", *ENGINES, *[f"ratio to {engine}" for engine in LIBRARIES]]
    title = "Megabytes of text encoded per second, on one core: median, highest below"
    verdicts = [verdict(engine, found) for engine, found in ratios.items()]
    note = (
        f"{' '.join(filter(None, verdicts))} cold: a tokenizer that has encoded nothing yet. warm: one that "
        "has encoded this text before. ratio: our rate divided by theirs. All return the same ids, the "
        "libraries as lists, ours as an array; tokenizers computes offsets as well."
    )
    return Table(title, columns, lines, note.strip())


def _seconds_text(seconds: list[float]) -> str:
    return f"{median(seconds):.2f}\n{min(seconds):.2f}"


def _rates_text(rates: list[float] | None) -> str:
    return f"{median(rates):.2f}\n{max(rates):.2f}" if rates else "–"


BENCHMARK = Benchmark(
    "tokenizer",
    "How fast is the byte-pair tokenizer?",
    "Training on Tiny Shakespeare and encoding it: our tokenizer, written in Python, compared with Hugging "
    "Face tokenizers and tiktoken, written in Rust; all on one core, in seconds of CPU time. The ids must be "
    "the same, or the program stops. The engines take turns.",
    measure,
    tables,
    add_options=add_options,
    has_threads=False,
)

if __name__ == "__main__":
    run(BENCHMARK)
