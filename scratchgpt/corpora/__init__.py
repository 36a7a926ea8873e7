"""Where text comes from: files of several formats, standard input, built-in texts."""

from scratchgpt.corpora.corpus import Corpus, Piece
from scratchgpt.corpora.sources import open_corpus

__all__ = ["Corpus", "Piece", "open_corpus"]
