"""Text before tokenization: a corpus is a stream of documents, in pieces that fit in memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Format = Literal["auto", "text", "jsonl", "lines", "daily-dialog", "prosocial-dialog"]
Errors = Literal["strict", "replace", "ignore"]


class Piece(NamedTuple):
    """A part of a document.

    Attributes:
        text: some of the document's text, or the name of a special token.
        special: whether `text` is the name of a special token.
        in_loss: the loss mask: whether its tokens count in the loss as targets.
        ends: whether it is the last piece of its document.
    """

    text: str
    special: bool = False
    in_loss: bool = True
    ends: bool = False


@dataclass(frozen=True)
class Corpus:
    """A text to train on, from any source.

    Attributes:
        name: what messages and the default run folder call it.
        pieces: returns an iterator over its pieces from the beginning, each time it is called.
        specials: the special tokens that occur in its pieces, and the padding token if there is one.
        bos: the special token before the text of every document, if there is one.
        eos: the special tokens at which generation stops: the end of a document, and of a turn in a dialogue.
        padded: whether every document is a separate example in its own padded rows; otherwise documents are
            packed one after the other.
        nats_per_document: the entropy of the source, if known.
        prompt: the default prompt for a model of this text.
        allow_special: parse the names of special tokens in the text as those tokens (`special_tokens.py`).
        summary: for several files, a readable line that says what was found.
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
        """Return the ids of a document's first and last tokens, as in Hugging Face's generation_config.json.

        Without a BOS token, a document begins after the end token of another. Several end tokens are a list.
        """
        ends = [special_ids[name] for name in self.eos]
        begins = ends[:1] if self.bos is None else [special_ids[self.bos]]
        ids = {"bos_token_id": begins, "eos_token_id": ends}
        return {key: each[0] if len(each) == 1 else each for key, each in ids.items() if each}
