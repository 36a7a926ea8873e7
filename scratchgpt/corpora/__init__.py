"""Where text comes from: files of several kinds, standard input, sets that have a name."""

from scratchgpt.corpora.corpus import Corpus, Piece
from scratchgpt.corpora.sources import open_corpus

__all__ = ["Corpus", "Piece", "open_corpus"]
