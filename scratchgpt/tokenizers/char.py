"""The character tokenizer: one token for each distinct character."""

import json
from collections.abc import Iterable, Sequence

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.base import PAD, UNK
from scratchgpt.tokenizers.contents import json_object, named
from scratchgpt.tokenizers.ids import checked
from scratchgpt.tokenizers.special_names import check_names, names_pattern
from scratchgpt.tokenizers.utf8 import utf8_bytes


class UnknownCharacterError(InputError):
    """A character that a tokenizer has no id for.

    Attributes:
        character: which.
        place: where it is, in words.
        known: the characters that have one.
    """

    def __init__(self, character: str, place: str, known: str) -> None:
        super().__init__(character, place, known)  # what a process needs to hand it on to another
        self.character, self.place, self.known = character, place, known

    def __str__(self) -> str:
        return (
            f"character {self.character!r} (U+{ord(self.character):04X}) {self.place} is not in the "
            f"tokenizer's vocabulary; expected one of {self.known!r}"
        )


class CharTokenizer:
    """Maps characters to ids and back. An id is the position in `symbols` and never changes.

    Attributes:
        symbols: every symbol in the order of its id; those of several characters are special tokens.
        special_ids: the ids of the special tokens.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = list(symbols)
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise InputError(
                f"{len(self.symbols)} symbols, {len(set(self.symbols))} of them distinct; expected all"
            )
        utf8_bytes("".join(self.symbols))  # raises for what is no character
        self.special_ids = {symbol: i for i, symbol in enumerate(self.symbols) if len(symbol) != 1}
        ids = {ord(symbol): i for i, symbol in enumerate(self.symbols) if len(symbol) == 1}
        # A table by code point encodes a text in one step; its last place is that of all unknown characters.
        self._table = np.full(max(ids, default=0) + 2, self.special_ids.get(UNK, -1), dtype=np.int32)
        self._table[list(ids)] = list(ids.values())
        self._names = names_pattern(self.special_ids)

    @classmethod
    def train(
        cls, text: str | Iterable[str], *, pad: bool = False, unk: bool = False, specials: Sequence[str] = ()
    ) -> "CharTokenizer":
        """Return the tokenizer of a text: the special tokens asked for, then its characters by code point.

        Args:
            text: whose characters become the vocabulary, whole or in pieces.
            pad: add `<pad>`, a symbol that no text produces.
            unk: add `<unk>`, which stands for every character that is not in the vocabulary.
            specials: names of more special tokens.

        Raises:
            InputError: a name of fewer than two characters.
        """
        names = list(dict.fromkeys([*[PAD] * pad, *[UNK] * unk, *specials]))
        check_names(names)
        characters: set[str] = set()
        for piece in [text] if isinstance(text, str) else text:
            characters.update(piece)
        return cls([*names, *sorted(characters)])

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self.symbols)

    def encode(self, text: str, *, allow_special: bool = False) -> Array:
        """Return the ids of the characters as an int32 array (N,).

        Args:
            text: any text; it may be empty.
            allow_special: whether the name of a special token in the text becomes that token.

        Raises:
            InputError: a character that is not in the vocabulary, when there is no `<unk>`.
        """
        code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        ids = self._table[np.minimum(code_points, len(self._table) - 1)]
        keep = np.ones(len(ids), dtype=bool)
        for name in self._names.finditer(text) if allow_special else ():
            ids[name.start()] = self.special_ids[name[0]]
            keep[name.start() + 1 : name.end()] = False
        unknown = (ids < 0) & keep
        if unknown.any():
            at = int(unknown.argmax())
            line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
            known = "".join(symbol for symbol in self.symbols if len(symbol) == 1)
            raise UnknownCharacterError(text[at], f"at line {line}, column {column}", known)
        return ids[keep]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; special tokens appear by their names.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return "".join(self.symbols[i] for i in checked(ids, self.vocab_size))

    def with_special_tokens(self, names: Sequence[str]) -> "CharTokenizer":
        """Return this tokenizer with more special tokens, which come after all that it has.

        Raises:
            InputError: a name of fewer than two characters, or one that it has.
        """
        check_names(names)
        return CharTokenizer([*self.symbols, *names])

    def to_bytes(self) -> bytes:
        """Return the JSON that holds this tokenizer."""
        content = {"type": "char", "symbols": self.symbols}
        return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8")

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "CharTokenizer":
        """Return the tokenizer in the content of the file called `name`; every symbol keeps its id.

        Raises:
            InputError: damaged, or not a character tokenizer.
        """
        found = json_object(content, name)
        symbols = found.get("symbols")
        if found.get("type") != "char" or not isinstance(symbols, list):
            raise InputError(f"{name} is not a character tokenizer; expected 'type': 'char' and 'symbols'")
        for symbol in symbols:
            if not isinstance(symbol, str) or not symbol:
                raise InputError(f"{name}: symbol is {symbol!r}; expected a character or a special token")
        with named(name):
            return cls(symbols)
