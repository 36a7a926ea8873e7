"""Batches for training: rows drawn at random, or each once in every epoch."""

from typing import Protocol

import numpy as np

from scratchgpt.data.rows import Rows
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import Array, Tokens


def random_batch(
    tokens: Array, batch_size: int, block_size: int, rng: np.random.Generator
) -> tuple[Tokens, Tokens]:
    """Draw `batch_size` windows of `block_size` tokens, each with its targets: the tokens one place on.

    Every window that has all its targets is as likely as any other. A text of exactly one block
    has one window, without a last target; that place holds IGNORE_INDEX.
    """
    starts = rng.integers(0, max(1, len(tokens) - block_size), size=batch_size)
    places = starts[:, None] + np.arange(block_size)  # (B, T)
    after = np.minimum(places + 1, len(tokens) - 1)
    targets = np.where(places + 1 < len(tokens), tokens[after], IGNORE_INDEX)
    return tokens[places], targets


class Batches(Protocol):
    """Where the training loop gets its batches from.

    Attributes:
        position: rows drawn so far. A checkpoint keeps it; setting it goes on from there.
    """

    position: int

    def draw(self, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Return the next batch: tokens and targets, both (B, T) int64, at least one target of which counts.

        Args:
            rng: the step's; whatever is random about the batch is drawn from it, or from nowhere.
        """


class RandomBatches:
    """Batches of rows drawn at random from the step's `rng`, which alone decides; see `Rows.random`."""

    def __init__(self, rows: Rows, batch_size: int) -> None:
        self.position = 0
        self._rows = rows
        self._batch_size = batch_size

    def draw(self, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Return the next batch."""
        self.position += self._batch_size
        return self._rows.random(self._batch_size, rng)


class EpochBatches:
    """Batches that go through all rows once in every epoch, each time in a new order.

    A batch may hold the last rows of one epoch and the first of the next, so all are of one size. What
    comes next depends on `seed` and `position` alone.
    """

    def __init__(self, rows: Rows, batch_size: int, seed: int) -> None:
        self.position = 0
        self._rows = rows
        self._batch_size = batch_size
        self._seed = seed
        self._order: tuple[int, Array] | None = None  # of which epoch, and its rows

    @property
    def epoch(self) -> int:
        """How many epochs are complete."""
        return self.position // len(self._rows)

    def draw(self, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Return the next batch; nothing is drawn from `rng`."""
        chosen: list[Array] = []
        missing = self._batch_size
        while missing:
            first = self.position % len(self._rows)
            chosen.append(self._rows_in_order(self.epoch)[first : first + missing])
            self.position += len(chosen[-1])
            missing -= len(chosen[-1])
        return self._rows.batch(np.concatenate(chosen))

    def _rows_in_order(self, epoch: int) -> Array:
        """Return the order of an epoch's rows, kept until another epoch is asked for."""
        if self._order is None or self._order[0] != epoch:
            # The counter's last word keeps this apart from `step_rng`, which has keys of the same kind.
            philox = np.random.Philox(
                key=np.array([self._seed, epoch], dtype=np.uint64), counter=[0, 0, 0, 1]
            )
            self._order = epoch, np.random.Generator(philox).permutation(len(self._rows))
        return self._order[1]


def batches(kind: str, rows: Rows, batch_size: int, seed: int) -> Batches:
    """Return the batches of a training text: "random", or "epochs", whose order `seed` decides."""
    return EpochBatches(rows, batch_size, seed) if kind == "epochs" else RandomBatches(rows, batch_size)
