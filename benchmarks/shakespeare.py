"""Where the benchmarks find Tiny Shakespeare, the text that several of them measure on."""

import os
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.program import Options, Parser
from benchmarks.results import ROOT

PLACE = "data/tinyshakespeare.txt in the folder SCRATCHGPT_SHARED or ../shared"


def shared_data() -> Path:
    """Return the folder of shared data sets, which need not exist."""
    return Path(os.environ.get("SCRATCHGPT_SHARED", ROOT.parent / "shared")) / "data"


def find_text(given: str | None) -> Path | None:
    """Return the given file, or else the shared Tiny Shakespeare; None if it does not exist."""
    path = Path(given) if given else shared_data() / "tinyshakespeare.txt"
    return path if path.is_file() else None


def add_text(parser: Parser) -> None:
    """Add --data: the text to measure on."""
    parser.add_argument("--data", metavar="FILE", help=f"text to measure on (default: {PLACE})")


def text_or_exit(options: Options, console: Console) -> Path:
    """Return the text that `--data` names, or the shared one.

    Raises:
        SystemExit: it does not exist; code 0 if none was asked for, so that a machine without the shared
            data can run all benchmarks, else 2.
    """
    path = find_text(options.data)
    if path is None:
        console.print(f"Nothing measured: {options.data or PLACE} does not exist. Pass --data FILE.")
        sys.exit(0 if options.data is None else 2)
    return path
