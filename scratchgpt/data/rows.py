"""Rows of a batch: where they begin in the text, and what of them counts."""

import numpy as np

from scratchgpt.data.part import Part
from scratchgpt.errors import InputError
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import Array, Tokens
from scratchgpt.utils.words import counted

PADDING = 0  # the token past an end; any would do, for no token that counts comes after it


class Rows:
    """Rows of `block_size` tokens; every target that counts is in exactly one.

    What does not count is IGNORE_INDEX among the targets: what is not learned, and what lies past the end.
    A row without any target that counts is left out.

    Attributes:
        block_size: places in a row, T.
        n_tokens: places in all rows, the padding of a last, shorter window not counted.
    """

    def __init__(self, part: Part, ends: Array, block_size: int) -> None:
        """Begin a row at the first token after each end, and another wherever one is full.

        Args:
            part: the text.
            ends: (D,) where rows end before they are full; the last is the text's end.
            block_size: places in a row.

        Raises:
            InputError: no target counts.
        """
        self.block_size = block_size
        self._part = part
        self._ends = ends
        self._starts = self._find_starts()
        if not len(self._starts):
            raise InputError(
                f"no target counts in {counted(len(part.ends), 'document')} of {counted(len(part), 'token')} "
                "together; expected a document of two tokens, the second of them learned"
            )
        self.n_tokens = len(self) * block_size

    def __len__(self) -> int:
        return len(self._starts)

    def batch(self, indices: Array) -> tuple[Tokens, Tokens]:
        """Return the tokens of some rows and their targets, the tokens one place on; both (B, T) int64."""
        return self._at(self._starts[indices])

    def random(self, n: int, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Return `n` rows drawn with replacement, as `batch` does."""
        return self.batch(rng.integers(0, len(self), size=n))

    def _at(self, starts: Array) -> tuple[Tokens, Tokens]:
        """Return the rows that begin at some positions (B,)."""
        tokens, learned = self._part.tokens, self._part.learned
        ends = self._ends_of(starts)[:, None]
        places = starts[:, None] + np.arange(self.block_size)  # (B, T)
        here, after = np.minimum(places, ends - 1), np.minimum(places + 1, ends - 1)
        counts = places + 1 < ends
        if learned is not None:
            counts &= learned[after] != 0
        x = np.where(places < ends, tokens[here].astype(np.int64), PADDING)
        y = np.where(counts, tokens[after].astype(np.int64), IGNORE_INDEX)
        return x, y

    def _ends_of(self, starts: Array) -> Array:
        return self._ends[np.searchsorted(self._ends, starts, side="right")]

    def _find_starts(self) -> Array:
        """Return where the rows begin that hold a target that counts."""
        lengths = np.diff(self._ends, prepend=0)
        n_targets = np.maximum(lengths - 1, 0)  # a document's first token is none
        n_rows = -(-n_targets // self.block_size)  # rounded up
        n_before = np.cumsum(n_rows) - n_rows
        starts = np.repeat(self._ends - lengths - n_before * self.block_size, n_rows)
        starts += np.arange(len(starts)) * self.block_size
        learned = self._part.learned
        if learned is None or not len(starts):
            return starts
        # The targets of a row are the tokens from `first` up to `stop`.
        first, stop = starts + 1, np.minimum(starts + self.block_size, self._ends_of(starts) - 1) + 1
        bounds = np.stack([first, stop], axis=1).reshape(-1)
        bounds = bounds[: -1 if stop[-1] == len(learned) else None]  # reduceat goes to the end by itself
        return starts[np.maximum.reduceat(learned, bounds)[::2] != 0]


class Windows(Rows):
    """Windows of a text whose documents are packed: side by side, the last, shorter one padded."""

    def __init__(self, part: Part, block_size: int) -> None:
        super().__init__(part, np.array([len(part)], dtype=np.int64), block_size)
        past_the_end = int(self._starts[-1]) + block_size - (len(part) - 1)
        self.n_tokens -= max(0, past_the_end)

    def random(self, n: int, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Return `n` windows that begin anywhere; every one that has all its targets is as likely.

        A text of exactly one block has one window, without a last target. Windows are drawn again if no
        target in any of them counts.
        """
        while True:
            starts = rng.integers(0, max(1, len(self._part) - self.block_size), size=n)
            x, y = self._at(starts)
            if (y != IGNORE_INDEX).any():
                return x, y


class Examples(Rows):
    """Every document in rows of its own, padded; one longer than a block goes on in the next row."""

    def __init__(self, part: Part, block_size: int) -> None:
        super().__init__(part, part.ends, block_size)


def n_longer_than_a_row(part: Part, block_size: int) -> int:
    """Return how many documents do not fit into one row: what is before a row cannot be seen in it."""
    return int(np.count_nonzero(np.diff(part.ends, prepend=0) - 1 > block_size))


def rows_of(part: Part, block_size: int) -> Rows:
    """Return the rows of a text as its kind asks for: examples if it is padded, else windows."""
    return (Examples if part.padded else Windows)(part, block_size)
