"""`scratchgpt runs`: list the runs in a folder and how their settings differ."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.runs.summary import (
    FACTS,
    RunSummary,
    differences,
    is_run,
    last_changed,
    read_summary,
    short,
)
from scratchgpt.utils.terminal import console, fits, printable

PROG = "scratchgpt runs"
DAMAGED = "damaged"


def main(argv: Sequence[str]) -> int:
    """List the runs in a folder, the most recent first; return the exit code.

    Raises:
        InputError: if an option is invalid, the folder does not exist, or there is no run in it.
    """
    parser = Parser(prog=PROG, description="List the runs in a folder and how their settings differ.")
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", type=str, default="runs", help="the folder that holds the runs"
    )
    folder = Path(parser.parse_args(argv).folder)
    if not folder.exists():
        raise InputError(f"there is no folder {str(folder)!r} yet; train a model first, or name the folder")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; expected a folder that holds runs")
    found = sorted(filter(is_run, folder.iterdir()), key=last_changed, reverse=True)
    if not found:
        raise InputError(f"there is no run in {str(folder)!r}; train a model first, or name the folder")
    print_table(console(), [(path, _read(path)) for path in found])
    return 0


def print_table(out: Console, runs: Sequence[tuple[Path, RunSummary | InputError]]) -> None:
    """Print a row per run, then how their settings differ, then what is wrong with the damaged ones.

    If a row does not fit the width of the terminal, the name gets its own line and the facts follow below.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    for fact in FACTS:
        table.add_column(fact, justify="right", no_wrap=True)
    for path, run in runs:
        table.add_row(printable(path.name), *(run.facts() if isinstance(run, RunSummary) else [DAMAGED]))
    if fits(out, table):
        out.print(table)
    else:
        for path, run in runs:
            out.print(printable(path.name), soft_wrap=True)
            out.print(Padding(_facts(run), (0, 0, 1, 4)))
    for line in [
        *_settings([run for _, run in runs if isinstance(run, RunSummary)]),
        *(f"{path.name} is damaged: {run}" for path, run in runs if isinstance(run, InputError)),
    ]:
        out.print(printable(line), soft_wrap=True)


def _read(path: Path) -> RunSummary | InputError:
    try:
        return read_summary(path)
    except InputError as error:
        return error


def _facts(run: RunSummary | InputError) -> str:
    """Return a row of the table as text."""
    if isinstance(run, InputError):
        return DAMAGED
    return ", ".join(f"{fact} {value}" for fact, value in zip(FACTS, run.facts(), strict=True) if value)


def _settings(runs: Sequence[RunSummary]) -> Iterator[str]:
    """Yield the most common values of the settings that differ, then each run's other values."""
    names = differences(runs)
    values = {name: [run.configuration.get(name, "-") for run in runs] for name in names}
    usual = {name: Counter(column).most_common(1)[0][0] for name, column in values.items()}
    if names:
        yield "most runs: " + ", ".join(f"{short(name, names)} {usual[name]}" for name in names)
    for i, run in enumerate(runs):
        unusual = [
            f"{short(name, names)} {values[name][i]}" for name in names if values[name][i] != usual[name]
        ]
        if unusual:
            yield f"{run.folder.name}: {', '.join(unusual)}"
