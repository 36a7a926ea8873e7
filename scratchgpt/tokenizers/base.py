"""What every tokenizer can do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

from scratchgpt.shapes import Array

PAD, UNK, BOS, EOS, SEP, END = "<pad>", "<unk>", "<s>", "</s>", "<sep>", "<|endoftext|>"


class Tokenizer(Protocol):
    """Maps text to token ids and back.

    Special tokens are not text: `encode` never produces one from what happens to look like its name,
    unless `allow_special` asks for it. Where a program means one, it takes the id from `special_ids`.
    """

    @property
    def vocab_size(self) -> int:
        """Number of ids: every id is in [0, vocab_size)."""

    @property
    def special_ids(self) -> Mapping[str, int]:
        """The id of every special token, by its name, e.g. {"<|endoftext|>": 50256}."""

    def encode(self, text: str, *, allow_special: bool = False) -> Array:
        """Return the ids of a text as an int32 array (N,).

        Args:
            text: any text; it may be empty.
            allow_special: whether the name of a special token in the text becomes that token.

        Raises:
            InputError: a character that the tokenizer cannot represent.
        """

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; special tokens appear by their names.

        Bytes that are not UTF-8 become U+FFFD.

        Raises:
            InputError: no whole number, or an id outside [0, vocab_size).
        """

    def with_special_tokens(self, names: Sequence[str]) -> Self:
        """Return this tokenizer with more special tokens; every token that it has keeps its id.

        Raises:
            InputError: a name that cannot be one, or a kind of tokenizer that takes no more tokens.
        """

    def to_bytes(self) -> bytes:
        """Return the content of the file that holds this tokenizer; equal tokenizers give equal bytes."""
