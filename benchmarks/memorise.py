"""How small can a GPT be and still know a text by heart? Trains with train.py, seed after seed.

python -m benchmarks.memorise --seeds 20                                   the 780-parameter model
python -m benchmarks.memorise --config configs/smallest.yaml --seeds 10
python -m benchmarks.memorise --ladder --seeds 10                          every size tried
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

import scratchgpt as sg

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "data" / "memorise.txt").read_text(encoding="utf-8")
PROMPT_LENGTH = 18

# From the 780 parameters down: what is left out, step by step. Flags on top of the configuration named first.
LADDER = [
    ("memorise-780", []),
    ("memorise-780", ["model.tie_weights=true"]),
    ("memorise-780", ["model.tie_weights=true", "model.bias=false"]),
    ("memorise-780", ["model.tie_weights=true", "model.bias=false", "model.n_inner=1"]),
    ("smallest", ["model.n_embd=3", "model.layer_norm_epsilon=1"]),
    ("smallest", ["model.n_embd=3", "model.layer_norm_epsilon=1", "model.bias=false"]),
    ("smallest", []),
    ("smallest", ["training.learning_rate=0.03"]),
    ("smallest", ["model.init_std=0.02"]),
    ("smallest", ["model.layer_norm_epsilon=1"]),
    ("smallest", ["model.layer_norm_epsilon=1e-5"]),
    ("smallest", ["model.bias=false"]),
    ("smallest", ["model.block_size=48", "training.batch_size=8"]),
    ("smallest", ["model.block_size=32", "training.batch_size=8"]),
    (
        "smallest",
        ["model.block_size=20", "training.batch_size=8", "model.n_embd=4", "training.learning_rate=0.01"],
    ),
]


class Attempt(NamedTuple):
    """One training run: how many parameters, how many of the 46 characters came back, how long it took."""

    n_params: int
    n_recalled: int
    seconds: float


def attempt(config: Path, flags: list[str], seed: int) -> Attempt:
    """Train on one thread with one seed and compare the greedy continuation with the text."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        command = [sys.executable, str(ROOT / "train.py"), "--config", str(config), "--out", str(out)]
        started = time.perf_counter()
        subprocess.run(
            [*command, "--training.seed", str(seed), "--threads", "1", *flags],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - started
        model = sg.load(out)
        expected = TEXT[PROMPT_LENGTH:]
        text = model.generate(TEXT[:PROMPT_LENGTH], max_new_tokens=len(expected), temperature=0.0)
    wrong = [i for i, character in enumerate(expected) if text[i : i + 1] != character]
    n_equal = wrong[0] if wrong else len(expected)
    return Attempt(model.params.size, n_equal, seconds)


def main() -> None:
    """Run the seeds of one configuration, or of the ladder, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memorise", description=__doc__.split("\n")[0])
    parser.add_argument("--config", default="configs/memorise-780.yaml", help="a configuration of train.py")
    parser.add_argument("--seeds", type=int, default=20, help="seeds 0 to N-1")
    parser.add_argument("--ladder", action="store_true", help="try every size of the ladder instead")
    options = parser.parse_args()
    rungs = [(ROOT / "configs" / f"{name}.yaml", flags) for name, flags in LADDER]
    if not options.ladder:
        rungs = [(Path(options.config), [])]

    table = Table(
        title=f"Recall of {len(TEXT) - PROMPT_LENGTH} characters from the first {PROMPT_LENGTH}, one thread"
    )
    columns = (
        "parameters",
        "configuration",
        "exact",
        "fewest characters before the first mistake",
        "slowest run",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "configuration" else "right", overflow="fold")
    console = Console()
    for config, flags in rungs:
        attempts = []
        for seed in range(options.seeds):
            attempts.append(attempt(config, [f"--{flag}" for flag in flags], seed))
            console.print(config.stem, *flags, "seed", seed, attempts[-1], highlight=False, soft_wrap=True)
        exact = sum(each.n_recalled == len(TEXT) - PROMPT_LENGTH for each in attempts)
        table.add_row(
            str(attempts[0].n_params),
            " ".join([config.stem, *flags]),
            f"{exact} of {options.seeds}",
            str(min(each.n_recalled for each in attempts)),
            f"{max(each.seconds for each in attempts):.1f} s",
        )
    console.print(table)


if __name__ == "__main__":
    main()
