"""How long does it take to cut a large text into tokens, and how much memory?

python -m benchmarks.prepare                           2 GB of random words; Linux only
python -m benchmarks.prepare --megabytes 100 --no-json
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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
from scratchgpt.tokenizers import CharTokenizer, Tokenizer, save
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.split_patterns import GPT2

MEGABYTES = 2000
VOCAB_SIZE = 1024
TRAINING_TEXT = 2_000_000  # characters that the BPE is trained on
WORDS = 50_000
INTERVAL = 0.1  # seconds between two looks at the memory
TARGET = 300e6  # bytes


def words(rng: np.random.Generator) -> list[str]:
    """Return different words, the short ones first, as frequent words are."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    lengths = np.sort(rng.integers(1, 12, 2 * WORDS))
    found = dict.fromkeys("".join(rng.choice(letters, length)) for length in lengths)
    return list(found)[:WORDS]


def text_blocks(n_bytes: int, seed: int = 1) -> Iterator[str]:
    """Yield ASCII text: words as frequent as Zipf's law has it, in lines of ten."""
    rng = np.random.default_rng(seed)
    vocabulary = words(rng)
    cumulative = np.cumsum(1 / np.arange(1, len(vocabulary) + 1))
    while n_bytes > 0:
        places = np.searchsorted(cumulative, rng.random(1_000_000) * cumulative[-1])
        chosen = [vocabulary[place] for place in places.tolist()]
        lines = (" ".join(chosen[i : i + 10]) for i in range(0, len(chosen), 10))
        block = "\n".join([*lines, ""])[:n_bytes]
        yield block
        n_bytes -= len(block)


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text(encoding="ascii").split():
            found += tree(int(child))
    return found


def memory(pid: int) -> int:
    """Return the bytes that a process and its descendants hold; what they share is counted once.

    That is the sum of their proportional set sizes. One that ends meanwhile counts as nothing.
    """
    total = 0
    try:
        for each in tree(pid):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def measure(text: Path, tokenizer: Path, cache: Path, workers: int) -> dict[str, Any]:
    """Prepare a text in a fresh process; return its figures, and its peak of memory in bytes."""
    command = [sys.executable, "-m", "benchmarks.prepare_probe", *map(str, (text, tokenizer, cache, workers))]
    peak = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(INTERVAL)
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"the preparation ended with {process.returncode}")
    return {"peak": peak, **json.loads(printed)}


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    for name, turns in content["tokenizers"].items():
        for turn, figures in turns.items():
            speed = content["bytes"] / figures["seconds"] / 1e6
            lines.append(
                [
                    f"{name}, {turn}",
                    f"{figures['tokens']:,}",
                    f"{figures['seconds']:,.1f}",
                    f"{speed:,.1f}",
                    f"{figures['peak'] / 1e6:,.0f}",
                    f"{TARGET / 1e6:,.0f}",
                ]
            )
    title = f"{content['bytes'] / 1e6:,.0f} MB of text become tokens, in {content['threads']} processes"
    note = "memory: the peak of all processes together, in MB; what they share counts once."
    return [Table(title, ["tokenizer", "tokens", "seconds", "MB/s", "memory", "at most"], lines, note)]


BENCHMARK = Benchmark(
    "prepare",
    "How long does it take to cut a large text into tokens, and how much memory?",
    f"{WORDS:,} random words, as frequent as Zipf's law has it, are prepared twice in a fresh process each: "
    "first cut into tokens, then found in the cache. The memory is the sum of all processes' proportional "
    f"set sizes, looked at every {INTERVAL} s.",
    tables,
)


def main() -> None:
    """Make the text and prepare it with each tokenizer."""
    parser = options_of(BENCHMARK)
    parser.add_argument("--megabytes", type=positive, default=MEGABYTES, help="size of the text")
    parser.add_argument("--tokenizers", nargs="+", choices=["char", "bpe"], default=["char", "bpe"])
    options = read_options(parser)
    console = new_console()
    n_bytes = options.megabytes * 10**6
    figures: Content = {"bytes": n_bytes, "tokenizers": {}}
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        text = Path(folder, "words.txt")
        with text.open("w", encoding="ascii", newline="\n") as file:
            file.writelines(text_blocks(n_bytes))
        sample = text.open(encoding="ascii").read(TRAINING_TEXT)
        for kind in options.tokenizers:
            tokenizer: Tokenizer
            if kind == "char":
                tokenizer, name = CharTokenizer.train(sample), "characters"
            else:
                tokenizer, name = (
                    train_bpe(count_chunks([sample], GPT2), VOCAB_SIZE, GPT2, [], None),
                    f"BPE of {VOCAB_SIZE:,}",
                )
            path = save(tokenizer, Path(folder, kind))
            turns = {}
            for turn in ("prepared", "found in the cache"):
                console.print(f"{name}, {turn} ...", highlight=False)
                turns[turn] = measure(text, path, Path(folder, "cache"), options.threads)
            figures["tokenizers"][name] = turns
    publish(BENCHMARK, figures, options, console)


if __name__ == "__main__":
    main()
