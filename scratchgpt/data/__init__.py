"""Training data: a text is tokenized once, split, cut into rows and drawn in batches."""

from scratchgpt.data.batches import Batches, EpochBatches, RandomBatches, batches, random_batch
from scratchgpt.data.part import Part
from scratchgpt.data.prepare import prepare
from scratchgpt.data.rows import Examples, Rows, Windows, n_longer_than_a_row, rows_of
from scratchgpt.data.split import split
from scratchgpt.data.token_file import TokenFile

__all__ = [
    "Batches",
    "EpochBatches",
    "Examples",
    "Part",
    "RandomBatches",
    "Rows",
    "TokenFile",
    "Windows",
    "batches",
    "n_longer_than_a_row",
    "prepare",
    "random_batch",
    "rows_of",
    "split",
]
