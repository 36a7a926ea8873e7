"""What text is before it is tokens: documents, in pieces small enough for memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Format = Literal["auto", "text", "jsonl", "lines", "daily-dialog", "prosocial-dialog"]
Errors = Literal["strict", "replace", "ignore"]


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
        specials: the special tokens that its pieces name, and the one that pads them.
        bos: the special token that stands before the text of every document, if one does.
        eos: the special tokens at which generation stops: those after a document, and after a turn of one.
        padded: whether every document is an example by itself, in rows of its own that are padded;
            otherwise documents are packed one after the other.
        nats_per_document: the entropy of the source, where it is known.
        prompt: what a model of this text is asked to continue when nobody says what.
        allow_special: whether the name of a special token in its text is that token (`special_tokens.py`).
        summary: what was found where there are several files, in words.
    """

    name: str
    pieces: Callable[[], Iterator[Piece]]
    specials: tuple[str, ...] = ()
    bos: str | None = None
    eos: tuple[str, ...] = ()
    padded: bool = False
    nats_per_document: float | None = None
    prompt: str | None = None
    allow_special: bool = False
    summary: str | None = None

    def generation_config(self, special_ids: Mapping[str, int]) -> dict[str, Any]:
        """Return where texts begin and end, as Hugging Face's generation_config.json says it.

        Where documents only end, one begins after the end of another. Several ends are a list.
        """
        ends = [special_ids[name] for name in self.eos]
        begins = ends[:1] if self.bos is None else [special_ids[self.bos]]
        ids = {"bos_token_id": begins, "eos_token_id": ends}
        return {key: each[0] if len(each) == 1 else each for key, each in ids.items() if each}
