"""Text to train on: found, cut into tokens once, drawn in batches."""

from scratchgpt.data.batches import random_batch, split, windows
from scratchgpt.data.corpus import Corpus, Piece

__all__ = ["Corpus", "Piece", "random_batch", "split", "windows"]
