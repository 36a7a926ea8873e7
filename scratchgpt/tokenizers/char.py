"""The character tokenizer: one token for each distinct character."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.files import atomic_path, load_json
from scratchgpt.shapes import Array

PAD, UNK = "<pad>", "<unk>"


class CharTokenizer:
    """Maps characters to ids and back. An id is the position in `symbols` and never changes.

    Attributes:
        symbols: every symbol in the order of its id; all are single characters but for the
            special ones, `<pad>` and `<unk>`.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = list(symbols)
        self._ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        if not self.symbols or len(self._ids) != len(self.symbols):
            raise InputError(f"{len(self.symbols)} symbols, {len(self._ids)} of them distinct; expected all")

    @classmethod
    def train(cls, text: str, *, pad: bool = False, unk: bool = False) -> "CharTokenizer":
        """Return the tokenizer of a text: the special symbols asked for, then its characters by code point.

        Args:
            text: whose characters become the vocabulary.
            pad: add `<pad>`, a symbol that no text produces.
            unk: add `<unk>`, which stands for every character that is not in the vocabulary.
        """
        specials = [PAD] * pad + [UNK] * unk
        return cls([*specials, *sorted(set(text))])

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self.symbols)

    def encode(self, text: str) -> Array:
        """Return the ids of the characters as an int32 array (N,).

        Raises:
            InputError: a character that is not in the vocabulary, when there is no `<unk>`.
        """
        unk = self._ids.get(UNK)
        ids = [self._ids.get(character, unk) for character in text]
        if None in ids:
            at = ids.index(None)
            line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
            known = "".join(symbol for symbol in self.symbols if len(symbol) == 1)
            raise InputError(
                f"character {text[at]!r} (U+{ord(text[at]):04X}) at line {line}, column {column} is not in "
                f"the tokenizer's vocabulary; expected one of {known!r}"
            )
        return np.array(ids, dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        symbols = []
        for i in ids:
            if not 0 <= i < self.vocab_size:
                raise InputError(f"token id is {i}; expected one in [0, {self.vocab_size})")
            symbols.append(self.symbols[i])
        return "".join(symbols)

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as JSON."""
        content = {"type": "char", "symbols": self.symbols}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "CharTokenizer":
        """Read a tokenizer that `save` wrote; every symbol keeps its id.

        Raises:
            InputError: no such file, or not a character tokenizer.
        """
        content = load_json(path)
        symbols = content.get("symbols")
        if content.get("type") != "char" or not isinstance(symbols, list):
            raise InputError(f"{path} is not a character tokenizer; expected 'type': 'char' and 'symbols'")
        for symbol in symbols:
            if symbol not in (PAD, UNK) and not (isinstance(symbol, str) and len(symbol) == 1):
                raise InputError(f"{path}: symbol is {symbol!r}; expected one character, {PAD} or {UNK}")
        return cls(symbols)
