"""A matrix gradient that is zero except in a few rows, such as that of a large embedding table."""

from typing import NamedTuple

from scratchgpt.shapes import Array


class RowGradient(NamedTuple):
    """The gradient of a matrix (V, C) of which a pass used only N rows, with N far below V.

    Attributes:
        rows: (N,), the indices of those rows, each exactly once.
        values: (N, C), their gradients.
    """

    rows: Array
    values: Array

    def add_to(self, total: Array) -> None:
        """Add this gradient to a dense one (V, C) in place."""
        total[self.rows] += self.values
