"""Random numbers for training."""

import copy
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
    many threads, on whichever device: Philox computes number n of a stream from n and the stream's
    state alone.

    Attributes:
        state: key and counter of every stream, (rows, 6) unsigned 64-bit integers.
        drawn: how many numbers of each stream have been used.
    """

    def __init__(self, state: Array) -> None:
        self.state = state
        self.drawn = 0
        self._generators: list[np.random.Generator] = []

    @classmethod
    def spawn(cls, rng: np.random.Generator, n_rows: int) -> "RowStreams":
        """Return streams for `n_rows` rows: `rng` as it stands, jumped far ahead once, twice, and so on.

        A generator of another kind than Philox gives the key of one that is.
        """
        philox: Any = rng.bit_generator
        if not isinstance(philox, np.random.Philox):
            philox = np.random.Philox(key=rng.integers(2**64, size=2, dtype=np.uint64))
        here = philox.state["state"]
        state = np.tile(np.concatenate([here["key"], here["counter"]]), (n_rows, 1))
        # A jump is 2**128 numbers: one more in the counter's third word, and a carry into the fourth.
        state[:, 4] += np.arange(1, n_rows + 1, dtype=np.uint64)
        state[:, 5] += state[:, 4] < here["counter"][2]
        return cls(state)

    def __getitem__(self, rows: slice) -> "RowStreams":
        return RowStreams(self.state[rows])

    def __deepcopy__(self, memo: dict[int, Any]) -> "RowStreams":
        """Return streams that go on by themselves from where these are; nobody changes the state."""
        other = RowStreams(self.state)
        other.drawn = self.drawn
        other._generators = copy.deepcopy(self._generators, memo)
        return other

    def random(self, size: tuple[int, ...], dtype: Any) -> Array:
        """Return the next uniform numbers in [0, 1) of shape `size`; size[0] is the number of rows."""
        if not self._generators:
            self._generators = [_generator(*each) for each in self.state]
        numbers = np.empty(size, dtype=dtype)
        for row, stream in zip(numbers, self._generators, strict=True):
            stream.random(dtype=dtype, out=row)
        return numbers

    def skip(self, n: int) -> int:
        """Count the next `n` numbers of every stream as used; return how many were used before them."""
        before = self.drawn
        self.drawn += n
        return before


def _generator(*state: np.uint64) -> np.random.Generator:
    """Return NumPy's generator that goes on from a stream's key and counter."""
    philox = np.random.Philox(key=np.array(state[:2], dtype=np.uint64))
    philox.state = philox.state | {"state": {"key": np.array(state[:2]), "counter": np.array(state[2:])}}
    return np.random.Generator(philox)
