"""The interface of every tokenizer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

from scratchgpt.shapes import Array


class Tokenizer(Protocol):
    """Maps text to token ids and back.

    Special tokens are not text: `encode` treats their names as ordinary characters unless `allow_special` is
    set. Code that wants a special token takes its id from `special_ids`.
    """

    @property
    def vocab_size(self) -> int:
        """Number of ids: every id is in [0, vocab_size)."""

    @property
    def special_ids(self) -> Mapping[str, int]:
        """The id of every special token by name, e.g. {"<|endoftext|>": 50256}."""

    def encode(self, text: str, *, allow_special: bool = False) -> Array:
        """Return the ids of a text as an int32 array (N,).

        Args:
            text: any text; it may be empty.
            allow_special: parse the names of special tokens in the text as those tokens.

        Raises:
            InputError: a character that the tokenizer cannot represent.
        """

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids, with special tokens written as their names.

        Bytes that are not UTF-8 become U+FFFD.

        Raises:
            InputError: an id that is not an integer or is outside [0, vocab_size).
        """

    def with_special_tokens(self, names: Sequence[str]) -> Self:
        """Return this tokenizer with additional special tokens; existing tokens keep their ids.

        Raises:
            InputError: an invalid name, or a kind of tokenizer that cannot be extended.
        """

    def to_bytes(self) -> bytes:
        """Return the content of the tokenizer's file; equal tokenizers give equal bytes."""
