"""A table, printed to the terminal or written as Markdown."""

from collections.abc import Mapping
from typing import NamedTuple

import rich.table


class Table(NamedTuple):
    """Columns and cells of text; a cell may have several lines.

    Attributes:
        title: what the cells are, with their unit.
        columns: the headings.
        rows: the cells of each row, in the order of the columns.
        note: how to read the columns.
        machine: what the figures were measured on, as `short_name` returns it; empty for "not stated".
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str
    machine: str = ""

    def rich(self) -> rich.table.Table:
        """Return the table for a rich console."""
        title = f"{self.title} ({self.machine})" if self.machine else self.title
        table = rich.table.Table(title=title, caption=_plain(self.note), caption_justify="left")
        for i, column in enumerate(self.columns):
            table.add_column(column, justify="right" if i else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*map(_plain, row))
        return table

    def markdown(self) -> str:
        """Return the table in Markdown, with title and machine above it and the note below."""
        machine = f" ({self.machine})" if self.machine else ""
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        cells = "\n".join(f"| {' | '.join(line)} |".replace("\n", "<br>") for line in lines)
        return f"**{self.title}**{machine}\n\n{cells}\n\n{self.note}\n"


def _plain(text: str) -> str:
    """Return Markdown text without its emphasis, for the terminal."""
    return text.replace("**", "")


def ratio_text(ratio: float | None) -> str:
    """Return a ratio with two decimals, or a dash for None."""
    return "–" if ratio is None else f"{ratio:.2f}"


def verdict(peer: str, ratios: Mapping[str, float | None]) -> str:
    """Return a sentence that says in which rows scratchgpt is behind a peer.

    Args:
        peer: the other engine's name.
        ratios: by row, above 1 where scratchgpt is ahead; None where the peer was not measured.
    """
    known = {row: ratio for row, ratio in ratios.items() if ratio is not None}
    behind = {row: ratio for row, ratio in known.items() if ratio < 1.0}
    if not known:
        return ""
    if not behind:
        return f"Not behind {peer} in any row."
    if len(behind) == len(known) > 1:
        return f"**Behind {peer} in every row ({min(behind.values()):.2f} to {max(behind.values()):.2f}).**"
    rows = ", ".join(f"{row} ({ratio:.2f})" for row, ratio in behind.items())
    return f"**Behind {peer}: {rows}.**"
