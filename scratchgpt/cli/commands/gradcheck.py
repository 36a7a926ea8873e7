"""`scratchgpt gradcheck`, also `python -m scratchgpt.gradcheck`: check every gradient."""

from collections.abc import Sequence

from scratchgpt.backends import BACKENDS, get_backend
from scratchgpt.cli.parser import Parser
from scratchgpt.gradcheck.__main__ import print_checks
from scratchgpt.utils.words import any_of

PROG = "scratchgpt gradcheck"


def main(argv: Sequence[str]) -> int:
    """Check every op and whole models, and print a table; return 0 if every gradient is right, else 1.

    Raises:
        InputError: if an option is invalid, or the backend is not available.
    """
    parser = Parser(prog=PROG, description="Check every gradient against finite differences.")
    parser.add_argument("--backend", type=str, default="numpy", help=f"the ops to check: {any_of(BACKENDS)}")
    return print_checks(get_backend(parser.parse_args(argv).backend))
