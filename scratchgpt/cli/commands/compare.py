"""`scratchgpt compare`: plot the curves of several runs and compare their settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.runs.curves import Curve, curve
from scratchgpt.runs.plot import plot_comparison
from scratchgpt.runs.summary import FACTS, RunSummary, differences, read_summary, short
from scratchgpt.utils.terminal import console, printable

PROG = "scratchgpt compare"


def main(argv: Sequence[str]) -> int:
    """Plot the validation losses of several runs and print a table; return the exit code.

    Raises:
        InputError: if an option is invalid, there are fewer than two runs, or one is damaged or has no
            evaluation yet.
    """
    parser = Parser(prog=PROG, description="Plot the curves of several runs and compare their settings.")
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=str, help="the folder of a run; name two or more"
    )
    parser.add_argument("--out", type=str, metavar="FILE", default="compare.png", help="the plot to write")
    options = parser.parse_args(argv)
    folders, out = list(dict.fromkeys(options.runs)), Path(options.out)
    if len(folders) < 2:
        raise InputError(f"{folders[0]} is the only run given; expected two or more to compare")
    if out.suffix != ".png":
        raise InputError(f"--out is {str(out)!r}; expected a file name that ends in .png")

    runs = {folder: read_summary(folder) for folder in folders}
    tokenizers = {_tokenizer(folder) for folder in folders}
    in_bytes = len(tokenizers) > 1 and all(len(_bits_per_byte(run).steps) for run in runs.values())
    label = "bits per byte" if in_bytes else "loss (nats per token)"
    losses = {name: _bits_per_byte(run) if in_bytes else run.losses for name, run in runs.items()}
    for name, data in losses.items():
        if not len(data.steps):
            raise InputError(f"{name} has no evaluation yet; wait for its first one")
    plot_comparison(
        out, label, {"step": losses, **_against_tokens(runs, losses), **_against_seconds(runs, losses)}
    )

    terminal = console()
    terminal.print(_table(runs))
    if any(name == "data" or name.startswith("corpus.") for name in differences(list(runs.values()))):
        terminal.print(
            "the runs use different texts, or read them differently: their losses are not comparable"
        )
    elif len(tokenizers) > 1:
        terminal.print("the tokenizers differ: losses per token are not comparable, bits per byte are")
    terminal.print(f"plot: {printable(str(out))}")
    return 0


def _bits_per_byte(run: RunSummary) -> Curve:
    return curve(run.records, "bits_per_byte")


def _against_tokens(
    runs: Mapping[str, RunSummary], losses: Mapping[str, Curve]
) -> dict[str, dict[str, Curve]]:
    """Return the losses against tokens, if that differs from the plot against steps."""
    per_step = {name: run.tokens_per_step for name, run in runs.items()}
    if len(set(per_step.values())) == 1 or 0 in per_step.values():
        return {}
    return {"tokens seen": {n: Curve(data.steps * per_step[n], data.values) for n, data in losses.items()}}


def _against_seconds(
    runs: Mapping[str, RunSummary], losses: Mapping[str, Curve]
) -> dict[str, dict[str, Curve]]:
    """Return the losses against training time, if it is known for every run."""
    curves = {}
    for name, data in losses.items():
        recorded, total = curve(runs[name].records, "seconds"), runs[name].seconds
        if total is None:
            return {}
        steps, seconds = recorded if len(recorded.steps) else ([runs[name].step], [total])
        time = np.interp(data.steps, [0, *steps], [0.0, *seconds])
        curves[name] = Curve(time, data.values)
    return {"seconds of training": curves}


def _table(runs: Mapping[str, RunSummary]) -> Table:
    """Return a column per run: the facts, then the settings that differ."""
    names = differences(list(runs.values()))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in runs:
        table.add_column(printable(name), overflow="fold")
    for row in zip(FACTS, *(run.facts() for run in runs.values()), strict=True):
        table.add_row(*row)
    table.add_section()
    for name in names:
        cells = (printable(run.configuration.get(name, "-")) for run in runs.values())
        table.add_row(short(name, names), *cells)
    return table


def _tokenizer(folder: str) -> bytes:
    """Return the tokenizer of a run as the content of its file; empty if there is none."""
    path = Path(folder, "tokenizer.json")
    return path.read_bytes() if path.is_file() else b""
