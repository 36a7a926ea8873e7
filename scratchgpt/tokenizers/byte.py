"""The byte tokenizer: one token for each of the 256 bytes of UTF-8, so that it can encode any text."""

import json
from collections.abc import Iterable, Sequence

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.contents import json_object, named
from scratchgpt.tokenizers.ids import checked
from scratchgpt.tokenizers.special_names import names_pattern
from scratchgpt.tokenizers.utf8 import utf8_bytes


class ByteTokenizer:
    """A byte is its own id; the special tokens come after the 256 bytes, in their order.

    Attributes:
        special_ids: the ids of the special tokens.
    """

    def __init__(self, special_tokens: Sequence[str] = ()) -> None:
        for name in special_tokens:
            if not isinstance(name, str) or not name or special_tokens.count(name) > 1:
                raise InputError(f"special token is {name!r}; expected names, each of them once")
        self.special_ids = {name: 256 + i for i, name in enumerate(special_tokens)}
        self._names = names_pattern(self.special_ids)
        self._token_bytes = [bytes([i]) for i in range(256)]
        self._token_bytes += [utf8_bytes(name) for name in special_tokens]

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self._token_bytes)

    def encode(self, text: str, *, allow_special: bool = False) -> Array:
        """Return the bytes of the text's UTF-8 as an int32 array (N,).

        Args:
            text: any text; it may be empty.
            allow_special: whether the name of a special token in the text becomes that token.

        Raises:
            InputError: half of a surrogate pair, which is no character.
        """
        parts: list[Array] = []
        start = 0
        for name in self._names.finditer(text) if allow_special else ():
            parts += [_byte_ids(text[start : name.start()]), np.array([self.special_ids[name[0]]])]
            start = name.end()
        return np.concatenate([*parts, _byte_ids(text[start:])], dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; bytes that are not UTF-8 become U+FFFD.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids, whether or not they are UTF-8; special tokens appear by their names.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return b"".join(self._token_bytes[i] for i in checked(ids, self.vocab_size))

    def with_special_tokens(self, names: Sequence[str]) -> "ByteTokenizer":
        """Return this tokenizer with more special tokens, which come after all that it has.

        Raises:
            InputError: a name that is empty, or one that it has.
        """
        return ByteTokenizer([*self.special_ids, *names])

    def to_bytes(self) -> bytes:
        """Return the JSON that holds this tokenizer."""
        content = {"type": "byte", "special_tokens": list(self.special_ids)}
        return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8")

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "ByteTokenizer":
        """Return the tokenizer in the content of the file called `name`.

        Raises:
            InputError: damaged, or not a byte tokenizer.
        """
        found = json_object(content, name)
        special_tokens = found.get("special_tokens")
        if found.get("type") != "byte" or not isinstance(special_tokens, list):
            raise InputError(f"{name} is not a byte tokenizer; expected 'type': 'byte' and 'special_tokens'")
        with named(name):
            return cls(special_tokens)


def _byte_ids(text: str) -> Array:
    return np.frombuffer(utf8_bytes(text), dtype=np.uint8)
