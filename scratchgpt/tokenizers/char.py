"""The character tokenizer: one token for each distinct character."""

import json
from collections.abc import Iterable, Sequence

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.file_content import json_object, prefix_errors
from scratchgpt.tokenizers.id_checks import checked_ids
from scratchgpt.tokenizers.special_tokens import PAD, UNK, check_names, names_pattern, split_at_names
from scratchgpt.tokenizers.utf8 import utf8_bytes


class UnknownCharacterError(InputError):
    """An out-of-vocabulary character in a text to encode.

    Attributes:
        character: the character.
        place: where it is, readable: "at line 2, column 3".
        known: all characters in the vocabulary.
    """

    def __init__(self, character: str, place: str, known: str) -> None:
        super().__init__(character, place, known)  # pickled to cross from a worker process to its parent
        self.character, self.place, self.known = character, place, known

    def __str__(self) -> str:
        return (
            f"character {self.character!r} (U+{ord(self.character):04X}) {self.place} is not in the "
            f"tokenizer's vocabulary; expected one of {self.known!r}"
        )


class CharTokenizer:
    """Maps characters to ids and back. An id is a position in `symbols` and never changes.

    Attributes:
        symbols: every symbol in the order of the ids; those with several characters are special tokens.
        special_ids: the ids of the special tokens by name.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = list(symbols)
        n_distinct = len(set(self.symbols))
        if not self.symbols or n_distinct != len(self.symbols):
            raise InputError(
                f"the vocabulary has {len(self.symbols)} symbols, of which {n_distinct} are distinct; "
                "expected at least one, and no duplicates"
            )
        utf8_bytes("".join(self.symbols))  # raises for a lone surrogate
        self.special_ids = {symbol: i for i, symbol in enumerate(self.symbols) if len(symbol) != 1}
        ids = {ord(symbol): i for i, symbol in enumerate(self.symbols) if len(symbol) == 1}
        # Indexed by code point, so that one lookup encodes a text; the last row stands for everything larger.
        self._table = np.full(max(ids, default=0) + 2, self.special_ids.get(UNK, -1), dtype=np.int32)
        self._table[list(ids)] = list(ids.values())
        self._names = names_pattern(self.special_ids)

    @classmethod
    def train(
        cls, text: str | Iterable[str], *, pad: bool = False, unk: bool = False, specials: Sequence[str] = ()
    ) -> "CharTokenizer":
        """Return the tokenizer of a text: the requested special tokens, then its characters by code point.

        Args:
            text: the text whose characters become the vocabulary, as one string or in pieces.
            pad: add `<pad>`, which no text encodes to.
            unk: add `<unk>`, which replaces every out-of-vocabulary character.
            specials: names of further special tokens.

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
        """Number of ids: characters and special tokens."""
        return len(self.symbols)

    def encode(self, text: str, *, allow_special: bool = False) -> Array:
        """Return the ids of the characters as an int32 array (N,).

        Args:
            text: any text; it may be empty.
            allow_special: parse the names of special tokens in the text as those tokens.

        Raises:
            InputError: an out-of-vocabulary character, if the vocabulary has no `<unk>`.
        """
        parts = [np.empty(0, dtype=np.int32)]
        start = 0  # of the part, in the text
        for part, is_name in split_at_names(text, self._names if allow_special else None):
            if is_name:
                parts.append(np.array([self.special_ids[part]], dtype=np.int32))
            else:
                code_points = np.frombuffer(part.encode("utf-32-le", "surrogatepass"), dtype="<u4")
                ids = self._table[np.minimum(code_points, len(self._table) - 1)]
                if (ids < 0).any():
                    raise self._unknown_character(text, start + int((ids < 0).argmax()))
                parts.append(ids)
            start += len(part)
        return np.concatenate(parts)

    def _unknown_character(self, text: str, at: int) -> UnknownCharacterError:
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        known = "".join(symbol for symbol in self.symbols if len(symbol) == 1)
        return UnknownCharacterError(text[at], f"at line {line}, column {column}", known)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids, with special tokens written as their names.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return "".join(self.symbols[i] for i in checked_ids(ids, self.vocab_size))

    def with_special_tokens(self, names: Sequence[str]) -> "CharTokenizer":
        """Return this tokenizer with additional special tokens, whose ids follow the existing ones.

        Raises:
            InputError: a name has fewer than two characters or is already in use.
        """
        check_names(names, self.special_ids)
        return CharTokenizer([*self.symbols, *names])

    def to_bytes(self) -> bytes:
        """Return the content of the tokenizer's JSON file."""
        content = {"type": "char", "symbols": self.symbols}
        return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8")

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "CharTokenizer":
        """Return the tokenizer stored in the content of the file called `name`; every symbol keeps its id.

        Raises:
            InputError: the content is damaged or is not a character tokenizer.
        """
        found = json_object(content, name)
        symbols = found.get("symbols")
        if found.get("type") != "char" or not isinstance(symbols, list):
            raise InputError(f"{name} is not a character tokenizer; expected 'type': 'char' and 'symbols'")
        for symbol in symbols:
            if not isinstance(symbol, str) or not symbol:
                raise InputError(f"{name}: symbol is {symbol!r}; expected a character or a special token")
        with prefix_errors(name):
            return cls(symbols)
