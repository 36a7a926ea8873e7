"""Printing to a terminal, a file or a pipe."""

import sys

from rich.console import Console
from rich.table import Table


def console() -> Console:
    """Return a console for standard output; a file or a pipe gets 200 columns, so that no line wraps."""
    out = Console(highlight=False, markup=False, emoji=False)
    return out if out.is_terminal else Console(highlight=False, markup=False, emoji=False, width=200)


def fits(out: Console, table: Table) -> bool:
    """Return whether a table fits the width of a console without wrapping any cell."""
    room = out.options.update(max_width=sys.maxsize)
    return out.measure(table, options=room).maximum <= out.width


def printable(text: str) -> str:
    """Return the text with control characters replaced by spaces, so that no escape sequence gets through.

    Newlines are kept.
    """
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
