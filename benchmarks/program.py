"""What the benchmarks' programs share: their options, and what becomes of the figures."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from benchmarks.machine import OtherPrograms, describe
from benchmarks.tables import Table
from scratchgpt.errors import InputError
from scratchgpt.utils.cores import usable_cores
from scratchgpt.utils.files import atomic_path, make_folder

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BUSY = 0.2  # cores that other programs may keep busy without a word
Content = dict[str, Any]  # what the JSON file holds: the figures as measured, nothing derived


class Picture(NamedTuple):
    """A plot that was drawn, and what it shows."""

    path: Path
    caption: str


def no_pictures(content: Content, folder: Path) -> list[Picture]:
    """Draw nothing."""
    return []


class Benchmark(NamedTuple):
    """How a benchmark's figures are shown.

    Attributes:
        name: of the module and of the JSON file.
        title: what is asked.
        method: how it is measured, a few sentences for docs/benchmarks.md.
        tables: makes the tables from the figures.
        draw: draws the plots into a folder.
    """

    name: str
    title: str
    method: str
    tables: Callable[[Content], list[Table]]
    draw: Callable[[Content, Path], list[Picture]] = no_pictures


def options_of(benchmark: Benchmark, threads: bool = True) -> argparse.ArgumentParser:
    """Return a parser with the options that benchmarks share; `threads` says whether --threads is one."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{benchmark.name}",
        description=benchmark.title,
        parents=[_output_options(benchmark)],
        allow_abbrev=False,
    )
    if threads:
        parser.add_argument("--threads", type=positive, default=usable_cores(), help="default: all cores")
    return parser


def _output_options(benchmark: Benchmark) -> argparse.ArgumentParser:
    default = RESULTS / f"{benchmark.name}.json"
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--json", type=Path, default=default, help="where to write the figures; plots go beside it"
    )
    parser.add_argument("--no-json", action="store_true", help="write neither figures nor plots")
    return parser


def read_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the options, and see before anything is measured that the figures can be written.

    `options.others` watches other programs from here on; if they are busy already, that is said.
    """
    options = parser.parse_args()
    if not options.no_json:
        try:
            make_folder(options.json.parent)
        except InputError as error:
            parser.error(str(error))
    options.others = OtherPrograms()
    time.sleep(1.0)
    _warn_if_busy(options.others.busy_cores(), new_console())
    return options


def _warn_if_busy(cores: float | None, console: Console) -> None:
    if cores is not None and cores > BUSY:
        console.print(
            f"Other programs keep {cores:.1f} cores busy. PyTorch suffers more from that than we do, "
            "because its threads wait for each other: do not quote these figures.",
            highlight=False,
        )


def new_console() -> Console:
    """Return where the tables go: as wide as the terminal, and wide enough where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def publish(benchmark: Benchmark, figures: Content, options: argparse.Namespace, console: Console) -> None:
    """Print the tables; write the figures with machine and command as JSON, and the plots beside it."""
    _, arguments = _output_options(benchmark).parse_known_args(sys.argv[1:])
    command = shlex.join(["python", "-m", f"benchmarks.{benchmark.name}", *arguments])
    threads = {"threads": options.threads} if "threads" in options else {}
    busy_cores = options.others.busy_cores()
    machine = {**describe(), "busy_cores": busy_cores}
    content = {"machine": machine, "command": command, **threads, **figures}
    for table in benchmark.tables(content):
        console.print(table.rich())
    _warn_if_busy(busy_cores, console)
    if options.no_json:
        return
    with atomic_path(options.json) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    pictures = benchmark.draw(content, options.json.parent)
    for path in [options.json, *(picture.path for picture in pictures)]:
        console.print(f"written: {path}", highlight=False, soft_wrap=True)


def positive(text: str) -> int:
    """Return the number that an option was given, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}; expected at least 1")
    return number
