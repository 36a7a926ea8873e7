"""What every benchmark shares: a description, the command line, and what happens to the figures."""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from benchmarks.machine import OtherPrograms, describe, is_disturbed, load_by_others, short_name
from benchmarks.results import RESULTS, Content, write_json
from benchmarks.tables import Table
from scratchgpt.cli.errors import exit_on_error
from scratchgpt.errors import InputError
from scratchgpt.utils.cores import usable_cores
from scratchgpt.utils.files import make_folder

Parser = argparse.ArgumentParser
Options = argparse.Namespace
CONSOLE_WIDTH = 160  # characters, where the output is not a terminal


class Picture(NamedTuple):
    """A plot that was drawn, and what it shows."""

    path: Path
    caption: str


def no_pictures(content: Content, folder: Path) -> list[Picture]:
    """Draw nothing: for benchmarks whose tables say everything."""
    return []


def no_options(parser: Parser) -> None:
    """Add nothing: for benchmarks that need only the shared options."""


class Benchmark(NamedTuple):
    """A benchmark: its question, how it is measured, and how its figures are shown.

    Attributes:
        name: of the module and of the JSON file.
        title: the question, a heading of docs/benchmarks.md.
        method: how it is measured, a few sentences for docs/benchmarks.md.
        measure: takes the options and a console for progress, returns the figures for the JSON file.
        tables: turns the content of the JSON file into tables.
        draw: draws plots of the content into a folder.
        add_options: adds the benchmark's own options to the shared ones.
        has_threads: whether the benchmark takes --threads.
        elsewhere: figures from other machines, quoted on the page next to the first table.
    """

    name: str
    title: str
    method: str
    measure: Callable[[Options, Console], Content]
    tables: Callable[[Content], list[Table]]
    draw: Callable[[Content, Path], list[Picture]] = no_pictures
    add_options: Callable[[Parser], None] = no_options
    has_threads: bool = True
    elsewhere: tuple[Table, ...] = ()

    @property
    def command(self) -> str:
        """The command that runs the benchmark, without options."""
        return f"python -m benchmarks.{self.name}"

    def tables_with_machine(self, content: Content) -> list[Table]:
        """Return the tables, each naming the machine that its figures were measured on."""
        machine = short_name(content["machine"])
        return [table._replace(machine=machine) for table in self.tables(content)]


def run(benchmark: Benchmark) -> None:
    """Run a benchmark from the command line: parse the options, measure, show and write the figures."""
    with exit_on_error(benchmark.command):
        options, others, console = parse_options(benchmark), OtherPrograms(), new_console()
        time.sleep(1.0)  # long enough to see whether other programs are busy
        _warn_if_disturbed(describe(others), console)
        figures = benchmark.measure(options, console)
        publish(benchmark, figures, options, others, console)


def publish(
    benchmark: Benchmark, figures: Content, options: Options, others: OtherPrograms, console: Console
) -> None:
    """Print the tables; write the figures with machine and command as JSON, and the plots next to it."""
    _, arguments = _output_options(benchmark).parse_known_args(sys.argv[1:])
    machine = describe(others)
    threads = {"threads": options.threads} if "threads" in options else {}
    command = " ".join([benchmark.command, shlex.join(arguments)]).strip()
    content = {"machine": machine, "command": command, **threads, **figures}
    for table in benchmark.tables_with_machine(content):
        console.print(table.rich())
    _warn_if_disturbed(machine, console)
    if options.no_json:
        return
    write_json(options.json, content)
    pictures = benchmark.draw(content, options.json.parent)
    for path in [options.json, *(picture.path for picture in pictures)]:
        console.print(f"wrote {path}", soft_wrap=True)


def _warn_if_disturbed(machine: Content, console: Console) -> None:
    if is_disturbed(machine):
        console.print(load_by_others(machine).replace("**", ""))


def new_console() -> Console:
    """Return a console that prints text unchanged, as wide as the terminal or wide enough for a table."""
    console = Console(markup=False, highlight=False)
    return console if console.is_terminal else Console(markup=False, highlight=False, width=CONSOLE_WIDTH)


# ---- the command line ----


def parse_options(benchmark: Benchmark) -> Options:
    """Return the options, after checking that the figures can be written."""
    parser = Parser(
        prog=benchmark.command,
        description=benchmark.title,
        parents=[_output_options(benchmark)],
        allow_abbrev=False,
    )
    if benchmark.has_threads:
        parser.add_argument(
            "--threads", type=positive, default=usable_cores(), help="default: %(default)s, all usable cores"
        )
    benchmark.add_options(parser)
    options = parser.parse_args()
    if not options.no_json:
        try:
            make_folder(options.json.parent)
        except InputError as error:
            parser.error(str(error))
    return options


def _output_options(benchmark: Benchmark) -> Parser:
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--json",
        type=Path,
        default=RESULTS / f"{benchmark.name}.json",
        help="file to write the figures to, with plots in the same folder (default: benchmarks/results/)",
    )
    parser.add_argument("--no-json", action="store_true", help="write neither figures nor plots")
    return parser


def add_models(
    parser: Parser, models: Iterable[str], default: Iterable[str] | None = None, at_least: int = 1
) -> None:
    """Add --models: which of the models to measure; all of them if there is no other default."""
    names = list(models)
    parser.add_argument(
        "--models",
        nargs="+" if at_least else "*",
        choices=names,
        default=names if default is None else list(default),
        metavar="MODEL",
        help=f"models to measure, out of {', '.join(names)}",
    )


def add_turns(parser: Parser, default: int | None, unit: str = "engine") -> None:
    """Add --turns: how often each engine (or other unit) is measured; None: a number for each model."""
    shown = "depends on the model" if default is None else default
    parser.add_argument(
        "--turns", type=positive, default=default, help=f"turns of each {unit} (default: {shown})"
    )


def add_repeats(parser: Parser, default: int) -> None:
    """Add --repeats: how often everything is measured."""
    parser.add_argument(
        "--repeats", type=positive, default=default, help="repeats of each measurement (default: %(default)s)"
    )


def positive(text: str) -> int:
    """Return the whole number given for an option, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too small; expected at least 1")
    return number
