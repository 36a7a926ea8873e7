"""Where commands print, and what a terminal can show."""

import sys

from rich.console import Console
from rich.table import Table


def console() -> Console:
    """Return where tables go; a file or a pipe is wide, so that nothing is broken into lines."""
    out = Console(highlight=False, markup=False, emoji=False)
    return out if out.is_terminal else Console(highlight=False, markup=False, emoji=False, width=200)


def fits(out: Console, table: Table) -> bool:
    """Return whether a table is shown as it is, no cell broken into lines."""
    room = out.options.update(max_width=sys.maxsize)
    return out.measure(table, options=room).maximum <= out.width


def printable(text: str) -> str:
    """Return a text without what a terminal would obey; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
