"""How long does it take to tokenize a large text, and how much memory?

python -m benchmarks.prepare   # 2 GB of random words; Linux only
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
from rich.console import Console

from benchmarks.program import Benchmark, Options, Parser, positive, run
from benchmarks.results import ROOT, Content
from benchmarks.tables import Table
from scratchgpt.tokenizers import CharTokenizer, Tokenizer, save
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.split_patterns import GPT2

MEGABYTES = 2000
VOCAB_SIZE = 1024
TRAINING_TEXT = 2_000_000  # characters that the BPE is trained on
WORDS = 50_000
WORDS_PER_BLOCK, WORDS_PER_LINE = 1_000_000, 10
POLL_INTERVAL = 0.1  # seconds between two readings of the memory
TARGET = 300e6  # bytes
RUNS = ("prepared", "found in the cache")  # of each tokenizer, in this order


def words(rng: np.random.Generator) -> list[str]:
    """Return distinct words, the short ones first, because frequent words are short."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    lengths = np.sort(rng.integers(1, 12, 2 * WORDS))
    found = dict.fromkeys("".join(rng.choice(letters, length)) for length in lengths)
    return list(found)[:WORDS]


def text_blocks(n_bytes: int, seed: int = 1) -> Iterator[str]:
    """Yield ASCII text in blocks: words with the frequencies of Zipf's law, ten to a line."""
    rng = np.random.default_rng(seed)
    vocabulary = words(rng)
    cumulative = np.cumsum(1 / np.arange(1, len(vocabulary) + 1))
    while n_bytes > 0:
        places = np.searchsorted(cumulative, rng.random(WORDS_PER_BLOCK) * cumulative[-1])
        chosen = [vocabulary[place] for place in places.tolist()]
        lines = (" ".join(chosen[i : i + WORDS_PER_LINE]) for i in range(0, len(chosen), WORDS_PER_LINE))
        block = "\n".join([*lines, ""])[:n_bytes]
        yield block
        n_bytes -= len(block)


def process_tree(pid: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text(encoding="ascii").split():
            found += process_tree(int(child))
    return found


def memory(pid: int) -> int:
    """Return the bytes that a process and its descendants hold; shared pages are counted once.

    That is the sum of their proportional set sizes. A process that ends in the meantime counts as 0.
    """
    total = 0
    try:
        for each in process_tree(pid):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def prepare_in_process(text: Path, tokenizer: Path, cache: Path, workers: int) -> dict[str, Any]:
    """Prepare a text in a fresh process; return its figures and its peak memory in bytes."""
    command = [sys.executable, "-m", "benchmarks.prepare_probe", *map(str, (text, tokenizer, cache, workers))]
    peak = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(POLL_INTERVAL)
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"benchmarks.prepare_probe ended with exit code {process.returncode}")
    return {"peak": peak, **json.loads(printed)}


def measure(options: Options, console: Console) -> Content:
    """Write the text and prepare it with each tokenizer."""
    n_bytes = options.megabytes * 10**6
    figures: Content = {"bytes": n_bytes, "tokenizers": {}}
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        text = Path(folder, "words.txt")
        with text.open("w", encoding="ascii", newline="\n") as file:
            file.writelines(text_blocks(n_bytes))
        with text.open(encoding="ascii") as file:
            sample = file.read(TRAINING_TEXT)
        for kind in options.tokenizers:
            name, tokenizer = _trained(kind, sample)
            path = save(tokenizer, Path(folder, kind))
            runs = {}
            for run_name in RUNS:
                console.print(f"{name}, {run_name} ...")
                runs[run_name] = prepare_in_process(text, path, Path(folder, "cache"), options.threads)
            figures["tokenizers"][name] = runs
    return figures


def _trained(kind: str, sample: str) -> tuple[str, Tokenizer]:
    """Return the name for the table and the tokenizer."""
    if kind == "char":
        return "characters", CharTokenizer.train(sample)
    return f"BPE of {VOCAB_SIZE:,}", train_bpe(count_chunks([sample], GPT2), VOCAB_SIZE, GPT2, [], None)


def add_options(parser: Parser) -> None:
    """Add the size of the text, and which tokenizers to measure."""
    parser.add_argument(
        "--megabytes", type=positive, default=MEGABYTES, help="size of the text (default: %(default)s)"
    )
    parser.add_argument(
        "--tokenizers", nargs="+", choices=["char", "bpe"], default=["char", "bpe"], help="default: both"
    )


def tables(content: Content) -> list[Table]:
    """Return the table."""
    lines = []
    for name, runs in content["tokenizers"].items():
        for run_name, figures in runs.items():
            speed = content["bytes"] / figures["seconds"] / 1e6
            lines.append(
                [
                    f"{name}, {run_name}",
                    f"{figures['tokens']:,}",
                    f"{figures['seconds']:,.1f}",
                    f"{speed:,.1f}",
                    f"{figures['peak'] / 1e6:,.0f}",
                    f"{TARGET / 1e6:,.0f}",
                ]
            )
    title = f"Tokenizing {content['bytes'] / 1e6:,.0f} MB of text in {content['threads']} processes"
    note = "memory: the peak of all processes together, in MB; shared pages count once."
    return [Table(title, ["tokenizer", "tokens", "seconds", "MB/s", "memory", "target"], lines, note)]


BENCHMARK = Benchmark(
    "prepare",
    "How long does it take to tokenize a large text, and how much memory?",
    f"A text of {WORDS:,} distinct random words, with the frequencies of Zipf's law, is prepared twice, each "
    "time in a fresh process: first from the text, then from the cache. Memory is the sum of the "
    f"proportional set sizes of all processes, read every {POLL_INTERVAL} s.",
    measure,
    tables,
    add_options=add_options,
)

if __name__ == "__main__":
    run(BENCHMARK)
