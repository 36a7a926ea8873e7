"""A table, for the terminal and for Markdown."""

from typing import NamedTuple

import rich.table


class Table(NamedTuple):
    """Columns and cells of text; a cell may have several lines."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str

    def rich(self) -> rich.table.Table:
        """Return what a rich console prints."""
        table = rich.table.Table(title=self.title, caption=self.note, caption_justify="left")
        for i, column in enumerate(self.columns):
            table.add_column(column, justify="right" if i else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Return the table in Markdown, the note below it."""
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        cells = "\n".join(f"| {' | '.join(line)} |".replace("\n", "<br>") for line in lines)
        return f"**{self.title}**\n\n{cells}\n\n{self.note}\n"


def ratio_text(ratio: float | None) -> str:
    """Return a ratio with two digits, or a dash where there is none."""
    return "–" if ratio is None else f"{ratio:.2f}"
