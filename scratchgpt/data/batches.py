"""Training batches: rows drawn at random, or every row once per epoch."""

from typing import Protocol

import numpy as np

from scratchgpt.data.rows import Rows
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import Array, Tokens


def random_batch(
    tokens: Array, batch_size: int, block_size: int, rng: np.random.Generator
) -> tuple[Tokens, Tokens]:
    """Draw `batch_size` random windows of `block_size` tokens, with the next tokens as targets.

    All windows with a full set of targets are equally likely. A text of exactly block_size tokens
    has one window, whose last target is missing and set to IGNORE_INDEX.

    Returns:
        Tokens and targets, both (batch_size, block_size).
    """
    starts = rng.integers(0, max(1, len(tokens) - block_size), size=batch_size)
    places = starts[:, None] + np.arange(block_size)  # (B, T)
    after = np.minimum(places + 1, len(tokens) - 1)
    targets = np.where(places + 1 < len(tokens), tokens[after], IGNORE_INDEX)
    return tokens[places], targets


class Batches(Protocol):
    """The source of the training loop's batches.

    Attributes:
        position: number of rows drawn so far. Checkpoints store it; setting it resumes from there.
    """

    position: int

    def draw(self, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Return the next batch: tokens and targets, both (B, T) int64, with at least one target that counts.

        Args:
            rng: the generator of this training step, the only source of randomness for a batch.
        """


class RandomBatches:
    """Batches of random rows, which depend only on the step's `rng`; see `Rows.random`."""

    def __init__(self, rows: Rows, batch_size: int) -> None:
        self.position = 0
        self._rows = rows
        self._batch_size = batch_size

    def draw(self, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Return the next batch."""
        self.position += self._batch_size
        return self._rows.random(self._batch_size, rng)


class EpochBatches:
    """Batches that contain every row once per epoch, in a new random order each epoch.

    A batch may hold the last rows of one epoch and the first of the next, so all have the same size. The
    next batch depends only on `seed` and `position`.
    """

    def __init__(self, rows: Rows, batch_size: int, seed: int) -> None:
        self.position = 0
        self._rows = rows
        self._batch_size = batch_size
        self._seed = seed
        self._order: tuple[int, Array] | None = None  # an epoch and its rows in order

    @property
    def epoch(self) -> int:
        """Number of complete epochs."""
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
        """Return the order of an epoch's rows, cached until another epoch is requested."""
        if self._order is None or self._order[0] != epoch:
            # The counter's last word keeps this stream distinct from `step_rng`, whose keys look the same.
            philox = np.random.Philox(
                key=np.array([self._seed, epoch], dtype=np.uint64), counter=[0, 0, 0, 1]
            )
            self._order = epoch, np.random.Generator(philox).permutation(len(self._rows))
        return self._order[1]


def batches(kind: str, rows: Rows, batch_size: int, seed: int) -> Batches:
    """Return batches of the given kind: "random", or "epochs", whose order depends on `seed`."""
    return EpochBatches(rows, batch_size, seed) if kind == "epochs" else RandomBatches(rows, batch_size)
