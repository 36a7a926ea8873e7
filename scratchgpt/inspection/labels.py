"""Labels for tokens in pictures and tables: short, with visible spaces."""

from collections.abc import Iterable

from matplotlib.font_manager import findfont, get_font

from scratchgpt.tokenizers import Tokenizer
from scratchgpt.tokenizers.streaming import bytes_by_token

FONT = "DejaVu Sans Mono"  # comes with matplotlib
VISIBLE = {" ": "␣", "\n": "↵", "\t": "→", "\r": "←"}
MAX_CHARACTERS = 12


def labels(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """Return a label per token: ␣ is a space, ↵ a newline, \\xNN a byte of an incomplete character."""
    ids = list(ids)
    return [_label(token) for token in bytes_by_token(tokenizer, ids, continuation=True)]


def drawable(words: Iterable[str]) -> list[str]:
    """Return the labels as matplotlib can draw them: $ escaped, glyphs that its font lacks as \\uNNNN."""
    has = get_font(findfont(FONT)).get_char_index
    return ["".join(c if has(ord(c)) else _escape(c) for c in word).replace("$", r"\$") for word in words]


def _label(token: bytes) -> str:
    word = "".join(map(_visible, token.decode("utf-8", errors="backslashreplace"))) or "∅"
    return word if len(word) <= MAX_CHARACTERS else word[: MAX_CHARACTERS - 1] + "…"


def _visible(character: str) -> str:
    return VISIBLE.get(character) or (character if character.isprintable() else _escape(character))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
