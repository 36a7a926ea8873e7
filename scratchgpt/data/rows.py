"""Rows of a batch: where they begin in the text, and which of their targets count in the loss."""

import numpy as np

from scratchgpt.data.part import Part
from scratchgpt.errors import InputError
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import Array, Tokens
from scratchgpt.utils.words import counted

PADDING = 0  # fills places past an end; any token would do, because no target that counts depends on it


class Rows:
    """Rows of `block_size` tokens; every target that counts in the loss is in exactly one row.

    Targets that do not count, because they are masked (`Part.loss_mask`) or past the end, are IGNORE_INDEX.
    Rows without any target that counts are left out.

    Attributes:
        block_size: places in a row, T.
        n_tokens: places in all rows, without the padding of a last, shorter window.
    """

    def __init__(self, part: Part, ends: Array, block_size: int) -> None:
        """Begin a row at the first token after each end, and another whenever one is full.

        Args:
            part: the tokens.
            ends: (D,) the positions at which rows end even if they are not full; the last is the text's end.
            block_size: places in a row, T.

        Raises:
            InputError: no target counts in the loss.
        """
        self.block_size = block_size
        self._part = part
        self._ends = ends
        self._starts = self._find_starts()
        if not len(self._starts):
            raise InputError(
                f"no target counts in the loss: {counted(len(part.ends), 'document')} with "
                f"{counted(len(part), 'token')} in total; expected a document of two tokens, of which the "
                "second counts"
            )
        self.n_tokens = len(self) * block_size

    def __len__(self) -> int:
        return len(self._starts)

    def batch(self, indices: Array) -> tuple[Tokens, Tokens]:
        """Return the tokens of the rows with these indices (B,), and their targets; both (B, T) int64."""
        return self._at(self._starts[indices])

    def random(self, n: int, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Return `n` random rows, drawn with replacement, in the form of `batch`."""
        return self.batch(rng.integers(0, len(self), size=n))

    def _at(self, starts: Array) -> tuple[Tokens, Tokens]:
        """Return the rows that begin at these positions (B,)."""
        tokens, loss_mask = self._part.tokens, self._part.loss_mask
        ends = self._ends_of(starts)[:, None]
        places = starts[:, None] + np.arange(self.block_size)  # (B, T)
        here, after = np.minimum(places, ends - 1), np.minimum(places + 1, ends - 1)
        counts = places + 1 < ends
        if loss_mask is not None:
            counts &= loss_mask[after] != 0
        x = np.where(places < ends, tokens[here].astype(np.int64), PADDING)
        y = np.where(counts, tokens[after].astype(np.int64), IGNORE_INDEX)
        return x, y

    def _ends_of(self, starts: Array) -> Array:
        return self._ends[np.searchsorted(self._ends, starts, side="right")]

    def _find_starts(self) -> Array:
        """Return the positions at which rows begin that have at least one target that counts."""
        lengths = np.diff(self._ends, prepend=0)
        n_targets = np.maximum(lengths - 1, 0)  # a document's first token is not a target
        n_rows = -(-n_targets // self.block_size)  # rounded up
        n_before = np.cumsum(n_rows) - n_rows
        starts = np.repeat(self._ends - lengths - n_before * self.block_size, n_rows)
        starts += np.arange(len(starts)) * self.block_size
        loss_mask = self._part.loss_mask
        if loss_mask is None or not len(starts):
            return starts
        # The targets of a row are the tokens from `first` up to `stop`.
        first, stop = starts + 1, np.minimum(starts + self.block_size, self._ends_of(starts) - 1) + 1
        bounds = np.stack([first, stop], axis=1).reshape(-1)
        bounds = bounds[: -1 if stop[-1] == len(loss_mask) else None]  # reduceat runs to the end by itself
        return starts[np.maximum.reduceat(loss_mask, bounds)[::2] != 0]


class Windows(Rows):
    """Consecutive windows of a text with packed documents; the last, shorter one is padded."""

    def __init__(self, part: Part, block_size: int) -> None:
        super().__init__(part, np.array([len(part)], dtype=np.int64), block_size)
        past_the_end = int(self._starts[-1]) + block_size - (len(part) - 1)
        self.n_tokens -= max(0, past_the_end)

    def random(self, n: int, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Return `n` windows that begin anywhere; all windows with a full set of targets are equally likely.

        A text of exactly block_size tokens has one window, without a last target. If no target in any of
        the windows counts, they are drawn again.
        """
        while True:
            starts = rng.integers(0, max(1, len(self._part) - self.block_size), size=n)
            x, y = self._at(starts)
            if (y != IGNORE_INDEX).any():
                return x, y


class Examples(Rows):
    """Every document in its own padded rows; a document longer than block_size continues in the next row."""

    def __init__(self, part: Part, block_size: int) -> None:
        super().__init__(part, part.ends, block_size)


def n_longer_than_a_row(part: Part, block_size: int) -> int:
    """Return how many documents need more than one row; later rows cannot attend to the earlier ones."""
    return int(np.count_nonzero(np.diff(part.ends, prepend=0) - 1 > block_size))


def rows_of(part: Part, block_size: int) -> Rows:
    """Return the rows of a text: `Examples` if its documents are padded, else `Windows`."""
    return (Examples if part.padded else Windows)(part, block_size)
