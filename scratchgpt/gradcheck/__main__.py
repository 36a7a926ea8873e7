"""`python -m scratchgpt.gradcheck`: check every gradient and print a table."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scratchgpt.backends import BACKENDS, Backend, get_backend
from scratchgpt.errors import InputError
from scratchgpt.gradcheck import check_models, check_ops

ZERO = "zero: no target of the test batch falls into that tail of the adaptive head, so its gradient is zero"


def main(argv: Sequence[str]) -> int:
    """Run the checks; return 0 if every gradient is right, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m scratchgpt.gradcheck",
        description="Compare every hand-written gradient with finite differences, in float64.",
    )
    parser.add_argument(
        "--backend", choices=list(BACKENDS), default="numpy", help="the backend to check (default: numpy)"
    )
    try:
        backend = get_backend(parser.parse_args(argv).backend)
    except InputError as error:
        parser.error(str(error))
    return print_checks(backend)


def print_checks(backend: Backend) -> int:
    """Check every op and whole models, and print a table; return 0 if every gradient is right, else 1."""
    console = Console()
    table = Table(title=f"Gradients of the {backend.name} backend against finite differences")
    table.add_column("op")
    table.add_column("tensor")
    table.add_column("relative error", justify="right")
    table.add_column("verdict")
    results = [*check_ops(backend), *check_models(backend)]
    previous = ""
    for result in results:
        verdict = "[green]ok[/]" if result.passed else f"[bold red]WRONG[/] {escape(result.note)}"
        if result.passed and result.is_zero:
            verdict += " (zero)"
        op = "" if result.op == previous else result.op
        table.add_row(op, result.tensor, f"{result.error:.1e}", verdict)
        previous = result.op
    console.print(table)
    wrong = sum(not result.passed for result in results)
    if any(result.is_zero for result in results):
        console.print(ZERO)
    console.print(f"{len(results)} gradients checked, {wrong} wrong.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
