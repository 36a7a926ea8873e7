"""The libraries that scratchgpt is compared with, as far as they are installed."""

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from rich.console import Console


def are_installed(libraries: Sequence[str], console: Console) -> bool:
    """Return whether all these libraries are installed; if not, print which are missing."""
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        names = " and ".join(missing)
        console.print(f"Left out, not installed: {names} (pip install -e '.[bench]')", markup=False)
    return not missing


def load(module: str, libraries: Sequence[str], console: Console) -> Any | None:
    """Import `benchmarks.<module>`, which needs these libraries; return None where one is missing."""
    return importlib.import_module(f"benchmarks.{module}") if are_installed(libraries, console) else None
