"""A text with its tokens made visible."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from scratchgpt.tokenizers.base import Tokenizer
from scratchgpt.tokenizers.streaming import bytes_by_token

COLOURS = ("black on #a8d8ea", "black on #ffe3a3")
SPECIAL = "bold white on #b02a4c"


def in_colours(tokenizer: Tokenizer, ids: Sequence[int]) -> Text:
    """Return the text of the ids for a terminal: two backgrounds in turn, a third for special tokens."""
    text = Text()
    for i, (label, is_special) in enumerate(_labels(tokenizer, ids)):
        text.append(label, style=SPECIAL if is_special else COLOURS[i % 2])
    return text


def in_words(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Return the text of the ids in plain characters: tokens apart by |, special tokens in brackets."""
    labels = (f"[{label}]" if is_special else label for label, is_special in _labels(tokenizer, ids))
    return "|".join(labels)


def _labels(tokenizer: Tokenizer, ids: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """Yield what to show for each token, and whether it is special."""
    special = set(tokenizer.special_ids.values())
    for i, token in zip(ids, bytes_by_token(tokenizer, ids), strict=True):
        try:
            yield "".join(map(_visible, token.decode("utf-8"))), i in special
        except UnicodeDecodeError:  # a part of a character
            yield "".join(f"\\x{byte:02x}" for byte in token), False


def _visible(character: str) -> str:
    if character == "\n":
        return "↵\n"
    if character == "\t":
        return "→\t"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
