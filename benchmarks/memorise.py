"""How small can a GPT be and still memorize a text? Trains with train.py, seed after seed.

python -m benchmarks.memorise --seeds 20   # the 780-parameter model
python -m benchmarks.memorise --config configs/smallest.yaml --seeds 10
python -m benchmarks.memorise --ladder --seeds 10   # every size that was tried
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import scratchgpt as sg
from benchmarks.program import Parser, new_console, positive
from benchmarks.results import ROOT
from benchmarks.tables import Table

TEXT = (ROOT / "data" / "memorise.txt").read_text(encoding="utf-8")
PROMPT_LENGTH = 18  # characters
N_TO_RECALL = len(TEXT) - PROMPT_LENGTH

# From 780 parameters down, leaving out more and more: a configuration, and the flags on top of it.
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
    """One training run: its parameters, characters recalled before the first mistake, and seconds."""

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
    return Attempt(model.params.size, wrong[0] if wrong else len(expected), seconds)


def table_row(configuration: str, attempts: list[Attempt]) -> list[str]:
    """Return a row of the table: the attempts of one configuration."""
    exact = sum(each.n_recalled == N_TO_RECALL for each in attempts)
    return [
        configuration,
        str(attempts[0].n_params),
        f"{exact} of {len(attempts)}",
        str(min(each.n_recalled for each in attempts)),
        f"{max(each.seconds for each in attempts):.1f} s",
    ]


def main() -> None:
    """Train all seeds of one configuration, or of the ladder, and print a table."""
    parser = Parser(
        prog="python -m benchmarks.memorise", description="How small can a GPT be and still memorize a text?"
    )
    parser.add_argument(
        "--config", default="configs/memorise-780.yaml", help="of train.py (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=positive, default=20, metavar="N", help="seeds 0 to N-1 (default: %(default)s)"
    )
    parser.add_argument("--ladder", action="store_true", help="train every size that was tried")
    options = parser.parse_args()
    ladder = [(ROOT / "configs" / f"{name}.yaml", flags) for name, flags in LADDER]
    rungs = ladder if options.ladder else [(Path(options.config), [])]
    console, rows = new_console(), []
    for config, flags in rungs:
        attempts = []
        for seed in range(options.seeds):
            attempts.append(attempt(config, [f"--{flag}" for flag in flags], seed))
            console.print(config.stem, *flags, "seed", seed, attempts[-1], soft_wrap=True)
        rows.append(table_row(" ".join([config.stem, *flags]), attempts))
    title = f"Recalling {N_TO_RECALL} characters from the first {PROMPT_LENGTH}, trained on one thread"
    columns = ["configuration", "parameters", "exact", "fewest before a mistake", "slowest run"]
    note = "exact: runs that recall every character. fewest before a mistake: characters of the worst run."
    console.print(Table(title, columns, rows, note).rich())


if __name__ == "__main__":
    main()
