"""Text with its tokens made visible: background colors on a terminal, separators in plain text."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from scratchgpt.tokenizers.base import Tokenizer
from scratchgpt.tokenizers.streaming import bytes_by_token

TOKEN_STYLES = ("black on #a8d8ea", "black on #ffe3a3")  # of alternating tokens
SPECIAL_STYLE = "bold white on #b02a4c"


def colored_tokens(tokenizer: Tokenizer, ids: Sequence[int]) -> Text:
    """Return the text of the ids for a terminal: two alternating backgrounds, a third for special tokens."""
    text = Text()
    for i, (label, is_special) in enumerate(_labels(tokenizer, ids)):
        text.append(label, style=SPECIAL_STYLE if is_special else TOKEN_STYLES[i % 2])
    return text


def separated_tokens(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Return the text of the ids as plain text: tokens separated by |, special tokens in brackets."""
    labels = (f"[{label}]" if is_special else label for label, is_special in _labels(tokenizer, ids))
    return "|".join(labels)


def _labels(tokenizer: Tokenizer, ids: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """Yield what to show for each token, and whether it is special."""
    special = set(tokenizer.special_ids.values())
    for i, token in zip(ids, bytes_by_token(tokenizer, ids), strict=True):
        try:
            yield "".join(map(_visible, token.decode("utf-8"))), i in special
        except UnicodeDecodeError:  # only some of a character's bytes
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
