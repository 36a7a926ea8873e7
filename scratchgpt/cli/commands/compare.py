"""`scratchgpt compare`: the curves of several runs in one picture, and where their settings differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from scratchgpt.cli.commands.runs import FACTS, Run, differences, read_run, short
from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.runs.curves import Curve, curve
from scratchgpt.runs.plot import plot_comparison
from scratchgpt.utils.terminal import console, printable


def main(argv: Sequence[str]) -> int:
    """Draw the evaluations of some runs and print a table; return the exit code."""
    parser = Parser(prog="scratchgpt compare", description="Compare the curves and settings of some runs.")
    parser.add_argument("runs", nargs="+", type=str, help="the folders of the runs")
    parser.add_argument("--out", type=str, default="compare.png", help="where the picture goes")
    arguments = parser.parse_args(list(argv))
    folders, out = list(dict.fromkeys(arguments.runs)), Path(arguments.out)
    if len(folders) < 2:
        raise InputError(f"only {folders[0]} is to be compared; expected two or more runs")
    if out.suffix != ".png":
        raise InputError(f"--out is {str(out)!r}; expected the name of a .png")
    runs = {folder: read_run(folder) for folder in folders}
    tokenizers = {_tokenizer(folder) for folder in folders}
    in_bytes = len(tokenizers) > 1 and all(
        len(curve(r.records, "bits_per_byte").steps) for r in runs.values()
    )
    measure, label = ("bits_per_byte", "bits per byte") if in_bytes else ("val_loss", "loss (nats per token)")
    losses = {name: curve(run.records, measure) for name, run in runs.items()}
    for name, data in losses.items():
        if not len(data.steps):
            raise InputError(f"{name} has no evaluation yet; expected one to compare")
    panels = {"step": losses, **_against_tokens(runs, losses), **_against_seconds(runs, losses)}
    plot_comparison(out, label, panels)
    terminal = console()
    terminal.print(_table(runs))
    if any(name == "data" or name.startswith("corpus.") for name in differences(list(runs.values()))):
        terminal.print("the texts, or how they are read, differ: their losses do not compare")
    elif len(tokenizers) > 1:
        terminal.print("the tokenizers differ: losses per token do not compare, bits per byte do")
    terminal.print(f"picture: {printable(str(out))}")
    return 0


def _against_tokens(runs: Mapping[str, Run], losses: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Return the losses against tokens, if that is another picture than against steps."""
    per_step = {name: run.tokens_per_step for name, run in runs.items()}
    if len(set(per_step.values())) == 1 or 0 in per_step.values():
        return {}
    return {"tokens seen": {n: Curve(data.steps * per_step[n], data.values) for n, data in losses.items()}}


def _against_seconds(runs: Mapping[str, Run], losses: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Return the losses against the time of training, if it is known of every run."""
    curves = {}
    for name, data in losses.items():
        recorded, in_all = curve(runs[name].records, "seconds"), runs[name].seconds
        if in_all is None:
            return {}
        steps, seconds = recorded if len(recorded.steps) else ([runs[name].step], [in_all])
        time = np.interp(data.steps, [0, *steps], [0.0, *seconds])
        curves[name] = Curve(time, data.values)
    return {"seconds of training": curves}


def _table(runs: Mapping[str, Run]) -> Table:
    """Return what the runs have reached and where their settings differ, a column for each."""
    names = differences(list(runs.values()))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in runs:
        table.add_column(printable(name), overflow="fold")
    for row in zip(FACTS, *(run.in_words() for run in runs.values()), strict=True):
        table.add_row(*row)
    table.add_section()
    for name in names:
        cells = (printable(run.configuration.get(name, "-")) for run in runs.values())
        table.add_row(short(name, names), *cells)
    return table


def _tokenizer(folder: str) -> bytes:
    """Return what a run's tokenizer is, as a file; nothing if it has none."""
    path = Path(folder, "tokenizer.json")
    return path.read_bytes() if path.is_file() else b""
