"""A gradient that is zero but for some rows, as that of a large embedding is."""

from typing import NamedTuple

from scratchgpt.shapes import Array


class RowGradient(NamedTuple):
    """The gradient of a matrix (V, C) that a pass has touched in N rows only; N is far less than V.

    Attributes:
        rows: (N,), which ones, each once.
        values: (N, C), the gradients of these rows.
    """

    rows: Array
    values: Array

    def add_to(self, total: Array) -> None:
        """Add to a gradient (V, C) in place."""
        total[self.rows] += self.values
