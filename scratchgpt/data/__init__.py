"""Text to train on: found, cut into tokens once, drawn in batches."""

from scratchgpt.data.batches import Batches, EpochBatches, RandomBatches, batches, random_batch
from scratchgpt.data.cache_folder import cache_folder
from scratchgpt.data.corpus import Corpus, Piece
from scratchgpt.data.part import Part
from scratchgpt.data.prepare import prepare
from scratchgpt.data.rows import Examples, Rows, Windows, rows_of
from scratchgpt.data.sources import open_corpus
from scratchgpt.data.split import split
from scratchgpt.data.token_file import TokenFile

__all__ = [
    "Batches",
    "Corpus",
    "EpochBatches",
    "Examples",
    "Part",
    "Piece",
    "RandomBatches",
    "Rows",
    "TokenFile",
    "Windows",
    "batches",
    "cache_folder",
    "open_corpus",
    "prepare",
    "random_batch",
    "rows_of",
    "split",
]
