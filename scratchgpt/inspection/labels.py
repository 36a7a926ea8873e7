"""Tokens as they stand in pictures and tables: short, and with visible spaces."""

from collections.abc import Iterable

from matplotlib.font_manager import findfont, get_font

from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import bytes_by_token

FONT = "DejaVu Sans Mono"  # comes with matplotlib
SIGNS = {" ": "␣", "\n": "↵", "\t": "→", "\r": "←"}
LONGEST = 12  # characters


def labels(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """Return a word for each token: ␣ is a space, ↵ a new line, \\xNN a byte that is no whole character."""
    ids = list(ids)
    return [_label(token) for token in bytes_by_token(tokenizer, ids, continuation=True)]


def drawable(words: Iterable[str]) -> list[str]:
    """Return the words as matplotlib can draw them: without formulas, and with escapes for missing glyphs."""
    has = get_font(findfont(FONT)).get_char_index
    return ["".join(c if has(ord(c)) else _escape(c) for c in word).replace("$", r"\$") for word in words]


def _label(token: bytes) -> str:
    word = "".join(map(_visible, token.decode("utf-8", errors="backslashreplace"))) or "∅"
    return word if len(word) <= LONGEST else word[: LONGEST - 1] + "…"


def _visible(character: str) -> str:
    return SIGNS.get(character) or (character if character.isprintable() else _escape(character))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
