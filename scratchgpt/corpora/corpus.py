"""What text is before it is tokens: documents, in pieces small enough for memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Piece(NamedTuple):
    """A part of a document.

    Attributes:
        text: some text of the document, or the name of a special token.
        special: whether `text` names a special token.
        learned: whether its tokens count in the loss when they are to be predicted.
        ends: whether the document ends with it.
    """

    text: str
    special: bool = False
    learned: bool = True
    ends: bool = False


@dataclass(frozen=True)
class Corpus:
    """A text to train on, whatever it was read from.

    Attributes:
        name: what it is called in messages and in the name of a run's folder.
        pieces: yields its pieces from the beginning, each time that it is called.
        specials: the special tokens that its pieces name.
        bos: the special token that stands before the text of every document, if one does.
        eos: the special token that stands after it, if one does.
        padded: whether every document is an example by itself, in rows of its own that are padded;
            otherwise documents are packed one after the other.
        nats_per_document: the entropy of the source, where it is known.
    """

    name: str
    pieces: Callable[[], Iterator[Piece]]
    specials: tuple[str, ...] = ()
    bos: str | None = None
    eos: str | None = None
    padded: bool = False
    nats_per_document: float | None = None
