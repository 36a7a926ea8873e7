"""Tokens to train or evaluate on, and where their documents end."""

from dataclasses import dataclass

import numpy as np

from scratchgpt.shapes import Array


@dataclass(frozen=True, eq=False)
class Part:
    """Some tokens of a text; the arrays may lie on disk.

    Attributes:
        tokens: (N,) ids.
        ends: (D,) the position after the last token of each document, ascending; the last is N.
        learned: (N,) 1 where a token counts in the loss when it is to be predicted, else 0; None if all do.
        padded: whether every document is an example by itself, in rows of its own that are padded.
    """

    tokens: Array
    ends: Array
    learned: Array | None = None
    padded: bool = False

    @classmethod
    def of(cls, tokens: Array) -> "Part":
        """Return tokens (N,) as one document, all of which counts."""
        return cls(tokens, np.array([len(tokens)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.tokens)

    def between(self, start: int, stop: int) -> "Part":
        """Return the tokens from `start` up to `stop`; a document that `stop` cuts ends there."""
        first, last = np.searchsorted(self.ends, [start, stop], side="right")
        ends = self.ends[first:last]
        if start:
            ends = ends - start
        if stop > start and (len(ends) == 0 or ends[-1] < stop - start):
            ends = np.append(ends, stop - start)
        learned = None if self.learned is None else self.learned[start:stop]
        return Part(self.tokens[start:stop], ends, learned, self.padded)
