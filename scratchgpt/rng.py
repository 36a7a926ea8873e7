"""Random numbers for training."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from scratchgpt.shapes import Array


class UniformSource(Protocol):
    """What dropout draws from: a NumPy Generator, or `RowStreams`."""

    def random(self, size: tuple[int, ...], dtype: Any) -> Array:
        """Return uniform numbers in [0, 1) of shape `size`."""


def step_rng(seed: int, step: int) -> np.random.Generator:
    """Return the generator of one training step: it draws the batch, then starts the dropout masks.

    It is counter-based (Philox, keyed by seed and step), so step 1000 needs no knowledge of the
    999 before it: a resumed run draws what the uninterrupted one would have drawn. Source:
    Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
    """
    return np.random.Generator(np.random.Philox(key=np.array([seed, step], dtype=np.uint64)))


class RowStreams:
    """One stream of random numbers for each row of a batch.

    A row's dropout masks are then the same whichever rows it shares a micro-batch with, on however
    many threads.
    """

    def __init__(self, streams: Sequence[np.random.Generator]) -> None:
        self._streams = streams

    @classmethod
    def spawn(cls, rng: np.random.Generator, n_rows: int) -> "RowStreams":
        """Return streams for `n_rows` rows: `rng` as it stands, jumped far ahead once, twice, and so on."""
        jumped: Any = rng.bit_generator
        return cls([np.random.Generator(jumped.jumped(row + 1)) for row in range(n_rows)])

    def __getitem__(self, rows: slice) -> "RowStreams":
        return RowStreams(self._streams[rows])

    def random(self, size: tuple[int, ...], dtype: Any) -> Array:
        """Return uniform numbers in [0, 1) of shape `size`; size[0] is the number of rows."""
        numbers = np.empty(size, dtype=dtype)
        for row, stream in zip(numbers, self._streams, strict=True):
            stream.random(dtype=dtype, out=row)
        return numbers
