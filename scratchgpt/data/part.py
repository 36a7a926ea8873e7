"""A part of a tokenized text, such as the training split: tokens, document boundaries and loss mask."""

from dataclasses import dataclass

import numpy as np

from scratchgpt.shapes import Array


@dataclass(frozen=True, eq=False)
class Part:
    """Some tokens of a text; the arrays may be memory-mapped.

    Attributes:
        tokens: (N,) ids.
        ends: (D,) the position after the last token of each document, ascending; the last is N.
        loss_mask: (N,) the loss mask: 1 where a token counts as a target, else 0; None if all count.
        padded: whether every document is a separate example in its own padded rows.
    """

    tokens: Array
    ends: Array
    loss_mask: Array | None = None
    padded: bool = False

    @classmethod
    def of(cls, tokens: Array) -> "Part":
        """Return tokens (N,) as one document in which every token counts."""
        return cls(tokens, np.array([len(tokens)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.tokens)

    def between(self, start: int, stop: int) -> "Part":
        """Return the tokens from `start` up to `stop`; a document that is cut by `stop` ends there."""
        first, last = np.searchsorted(self.ends, [start, stop], side="right")
        ends = self.ends[first:last]
        if start:
            ends = ends - start
        if stop > start and (len(ends) == 0 or ends[-1] < stop - start):
            ends = np.append(ends, stop - start)
        loss_mask = None if self.loss_mask is None else self.loss_mask[start:stop]
        return Part(self.tokens[start:stop], ends, loss_mask, self.padded)
