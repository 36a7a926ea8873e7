"""Random numbers for training: a generator for each step, and a stream for each row of its batch."""

import copy
from typing import Any, Protocol

import numpy as np

from scratchgpt.shapes import Array


class UniformSource(Protocol):
    """What dropout draws from: a NumPy Generator or `RowStreams`."""

    def random(self, size: tuple[int, ...], dtype: Any) -> Array:
        """Return an array of shape `size` of uniform numbers in [0, 1)."""


def step_rng(seed: int, step: int) -> np.random.Generator:
    """Return the generator of one training step; it draws the batch, then seeds the dropout masks.

    It is counter-based (Philox, keyed by seed and step), so step 1000 does not depend on the 999 before
    it: a resumed run draws exactly what the uninterrupted one would have drawn. Source: Salmon et al.,
    "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
    """
    return np.random.Generator(np.random.Philox(key=np.array([seed, step], dtype=np.uint64)))


class RowStreams:
    """One stream of random numbers for each row of a batch.

    A row's dropout masks therefore depend neither on the other rows of its micro-batch nor on the number of
    threads or the device: Philox computes number n of a stream from n and the stream's state alone.

    Attributes:
        state: key (2 words) and counter (4 words) of every stream, (rows, 6) unsigned 64-bit integers.
        drawn: how many numbers of each stream have been used.
    """

    def __init__(self, state: Array) -> None:
        self.state = state
        self.drawn = 0
        self._generators: list[np.random.Generator] = []

    @classmethod
    def spawn(cls, rng: np.random.Generator, n_rows: int) -> "RowStreams":
        """Return one stream per row: copies of `rng`, jumped ahead by 2**128 numbers once, twice, and so on.

        If `rng` is not a Philox generator, it draws the key of a new one.
        """
        philox: Any = rng.bit_generator
        if not isinstance(philox, np.random.Philox):
            philox = np.random.Philox(key=rng.integers(2**64, size=2, dtype=np.uint64))
        here = philox.state["state"]
        state = np.tile(np.concatenate([here["key"], here["counter"]]), (n_rows, 1))
        # A jump of 2**128 numbers adds 1 to the counter's third word, with a carry into the fourth.
        state[:, 4] += np.arange(1, n_rows + 1, dtype=np.uint64)
        state[:, 5] += state[:, 4] < here["counter"][2]
        return cls(state)

    def __getitem__(self, rows: slice) -> "RowStreams":
        return RowStreams(self.state[rows])

    def __deepcopy__(self, memo: dict[int, Any]) -> "RowStreams":
        """Return independent streams that continue from here; they share `state`, which is never modified."""
        other = RowStreams(self.state)
        other.drawn = self.drawn
        other._generators = copy.deepcopy(self._generators, memo)
        return other

    def random(self, size: tuple[int, ...], dtype: Any) -> Array:
        """Return the next uniform numbers in [0, 1), of shape `size`; size[0] is the number of rows."""
        if not self._generators:
            self._generators = [_generator(*each) for each in self.state]
        numbers = np.empty(size, dtype=dtype)
        for row, stream in zip(numbers, self._generators, strict=True):
            stream.random(dtype=dtype, out=row)
        return numbers

    def skip(self, n: int) -> int:
        """Mark the next `n` numbers of every stream as used; return how many were used before."""
        before = self.drawn
        self.drawn += n
        return before


def _generator(*state: np.uint64) -> np.random.Generator:
    """Return a NumPy generator that continues from a stream's key and counter."""
    philox = np.random.Philox(key=np.array(state[:2], dtype=np.uint64))
    philox.state = philox.state | {"state": {"key": np.array(state[:2]), "counter": np.array(state[2:])}}
    return np.random.Generator(philox)
