"""How fast is the byte-pair tokenizer: training and encoding on one core, beside peers.

python -m benchmarks.tokenizer                          on Tiny Shakespeare, found among shared data
python -m benchmarks.tokenizer --data some.txt --repeats 3 --no-json
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
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
from benchmarks.tables import Table, ratio_text
from benchmarks.time_to_loss import find_text
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
Encode = Callable[[str], Any]  # a text to the sequence of its ids
Prepare = Callable[[], Callable[[], object]]  # returns what is to be timed, once


def train(text: str, vocab_size: int) -> BPETokenizer:
    """Return our tokenizer of a text."""
    return train_bpe(count_chunks([text], GPT2), vocab_size, GPT2, [])


def afresh(tokenizer: BPETokenizer) -> BPETokenizer:
    """Return the same tokenizer with an empty cache."""
    return BPETokenizer(tokenizer.token_ids, tokenizer.merges, tokenizer.pattern, tokenizer.special_ids)


def measure(actions: Mapping[str, Prepare], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of processor time that each action takes; they take turns.

    On one core that is the clock's time, but for what other programs take away.
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
    """Return the seconds of training, by engine, and what the textbook's way is measured by."""
    actions: dict[str, Prepare] = {"scratchgpt": lambda: lambda: train(text, vocab_size)}
    if theirs:
        actions["tokenizers"] = lambda: lambda: theirs.train(text, vocab_size)
    ours = train(text, vocab_size)
    lengths = lengths_during_training(ours, text)
    seconds, seen = textbook_seconds(text, min(TEXTBOOK_MERGES, len(lengths)), ours)
    if seen != lengths[: len(seen)]:
        raise RuntimeError("the textbook's merges leave another number of tokens than ours: no comparison")
    return {
        "vocab_size": ours.vocab_size,
        "seconds": measure(actions, repeats),
        "textbook": {"seconds": seconds, "tokens_passed": sum(seen), "tokens_to_pass": sum(lengths)},
    }


def measure_encoding(tokenizer: BPETokenizer, text: str, repeats: int, theirs: Any | None) -> Content:
    """Return the seconds of encoding by tokenizers that have seen nothing (cold), or this text (warm)."""
    makers: dict[str, Callable[[], Encode]] = {"scratchgpt": lambda: afresh(tokenizer).encode}
    if theirs:
        makers["tokenizers"] = lambda: theirs.hugging_face(tokenizer)
        makers["tiktoken"] = lambda: theirs.tiktoken_of(tokenizer)
    expected = tokenizer.encode(text)
    warmed = {name: make() for name, make in makers.items()}
    for name, encode in warmed.items():
        if not np.array_equal(encode(text), expected):
            raise RuntimeError(f"{name} encodes the text otherwise than scratchgpt: no comparison")
    return {
        "vocab_size": tokenizer.vocab_size,
        "tokens": len(expected),
        "cold": measure({name: _once(make, text) for name, make in makers.items()}, repeats),
        "warm": measure({name: _again(encode, text) for name, encode in warmed.items()}, repeats),
    }


def _once(make: Callable[[], Encode], text: str) -> Prepare:
    def prepare() -> Callable[[], object]:
        encode = make()
        return lambda: encode(text)

    return prepare


def _again(encode: Encode, text: str) -> Prepare:
    return lambda: lambda: encode(text)


def tables(content: Content) -> list[Table]:
    """Return the tables of training and of encoding."""
    return [_training_table(content), _encoding_table(content)]


def _training_table(content: Content) -> Table:
    lines = []
    for row in content["training"]:
        ours, theirs = (row["seconds"].get(engine) for engine in ("scratchgpt", "tokenizers"))
        textbook = row["textbook"]
        whole = sum(textbook["seconds"]) * textbook["tokens_to_pass"] / textbook["tokens_passed"]
        lines.append(
            [
                f"{row['vocab_size']:,}",
                _seconds_text(ours),
                _seconds_text(theirs) if theirs else "–",
                ratio_text(median(theirs) / median(ours) if theirs else None),
                f"≈ {whole:,.0f}",
                f"≈ {whole / median(ours):,.0f}",
            ]
        )
    columns = ["tokens", "scratchgpt", "tokenizers", "ratio", "textbook", "ratio"]
    title = (
        f"Seconds to learn a vocabulary from {content['bytes']:,} bytes, on one core: median, minimum below"
    )
    note = (
        "Cutting the text into chunks is counted. ratio: seconds by ours. textbook: passes over the whole "
        "text for every merge, in Python; extrapolated, not measured: the seconds per token of the first "
        f"{TEXTBOOK_MERGES} merges, times the tokens that all merges would meet."
    )
    return Table(title, columns, lines, note)


def _encoding_table(content: Content) -> Table:
    lines = []
    for name, row in content["encoding"].items():
        for state in ("cold", "warm"):
            rates = {
                engine: [content["bytes"] / 1e6 / each for each in seconds]
                for engine, seconds in row[state].items()
            }
            lines.append([name, state, *[_rates_text(rates.get(engine)) for engine in ENGINES]])
            lines[-1] += [
                ratio_text(median(rates["scratchgpt"]) / median(rates[engine]) if engine in rates else None)
                for engine in ENGINES[1:]
            ]
    columns = ["vocabulary", "cache", *ENGINES, *[f"by {engine}" for engine in ENGINES[1:]]]
    title = "Megabytes of text encoded per second, on one core: median, highest below"
    note = (
        "cold: by a tokenizer that has encoded nothing yet. warm: by one that has encoded this text. by: our "
        "rate by theirs. All give the same ids, the peers as lists, ours as an array; tokenizers notes "
        "offsets as well."
    )
    return Table(title, columns, lines, note)


def _seconds_text(seconds: list[float]) -> str:
    return f"{median(seconds):.2f}\n{min(seconds):.2f}"


def _rates_text(rates: list[float] | None) -> str:
    return f"{median(rates):.2f}\n{max(rates):.2f}" if rates else "–"


BENCHMARK = Benchmark(
    "tokenizer",
    "How fast is the byte-pair tokenizer?",
    "Training and encoding of Tiny Shakespeare by our tokenizer, which is written in Python, beside Hugging "
    "Face tokenizers and tiktoken, which are written in Rust; all on one core, in seconds of processor time. "
    "The ids must be the same, or the program stops. The engines take turns.",
    tables,
)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one core meanwhile, where the system can."""
    if not hasattr(os, "sched_setaffinity"):  # Linux only
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def main() -> None:
    """Measure training and encoding."""
    parser = options_of(BENCHMARK, threads=False)
    parser.add_argument("--data", help="the text; default: tinyshakespeare.txt among the shared data")
    parser.add_argument("--repeats", type=positive, default=REPEATS, help="of each measurement")
    os.environ |= {
        "RAYON_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }  # before the peers are imported
    options = read_options(parser)
    console = new_console()
    path = find_text(options.data)
    if path is None:
        missing = options.data or "data/tinyshakespeare.txt in SCRATCHGPT_SHARED or ../shared"
        console.print(
            f"Nothing measured: there is no text ({missing}). Give one with --data FILE", markup=False
        )
        sys.exit(0 if options.data is None else 2)
    text = path.read_text(encoding="utf-8")
    theirs = peers.load("tokenizer_peers", LIBRARIES, console)
    figures: Content = {"bytes": len(text.encode()), "training": [], "encoding": {}}
    figures["libraries"] = {name: version(name) for name in LIBRARIES} if theirs else {}
    with one_core():
        for vocab_size in VOCAB_SIZES:
            console.print(f"training {vocab_size:,} tokens ...", highlight=False)
            figures["training"].append(measure_training(text, vocab_size, options.repeats, theirs))
        tokenizers = {f"our {vocab_size:,}": train(text, vocab_size) for vocab_size in VOCAB_SIZES}
        gpt2 = Path(os.environ.get("SCRATCHGPT_SHARED", ROOT.parent / "shared")) / "data" / "gpt2"
        if gpt2.is_dir():
            tokenizers["GPT-2's 50,257"] = load_gpt2(gpt2)
        for name, tokenizer in tokenizers.items():
            console.print(f"encoding with {name} ...", highlight=False)
            figures["encoding"][name] = measure_encoding(tokenizer, text, options.repeats, theirs)
    publish(BENCHMARK, figures, options, console)


if __name__ == "__main__":
    main()
