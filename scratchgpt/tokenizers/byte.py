"""The byte tokenizer: one token for each of the 256 byte values, so that it can encode any UTF-8 text."""

import json
from collections.abc import Iterable, Sequence

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.file_content import json_object, prefix_errors
from scratchgpt.tokenizers.id_checks import checked_ids
from scratchgpt.tokenizers.special_tokens import names_pattern, split_at_names
from scratchgpt.tokenizers.utf8 import utf8_bytes


class ByteTokenizer:
    """Each byte is its own id; special tokens follow from id 256, in the order given.

    Attributes:
        special_ids: the ids of the special tokens by name.
    """

    def __init__(self, special_tokens: Sequence[str] = ()) -> None:
        for name in special_tokens:
            if not isinstance(name, str) or not name or special_tokens.count(name) > 1:
                raise InputError(f"special token is {name!r}; expected distinct names that are not empty")
        self.special_ids = {name: 256 + i for i, name in enumerate(special_tokens)}
        self._names = names_pattern(self.special_ids)
        self._token_bytes = [bytes([i]) for i in range(256)]
        self._token_bytes += [utf8_bytes(name) for name in special_tokens]

    @property
    def vocab_size(self) -> int:
        """Number of ids: 256 bytes plus the special tokens."""
        return len(self._token_bytes)

    def encode(self, text: str, *, allow_special: bool = False) -> Array:
        """Return the UTF-8 bytes of a text as an int32 array (N,).

        Args:
            text: any text; it may be empty.
            allow_special: parse the names of special tokens in the text as those tokens.

        Raises:
            InputError: the text has a lone surrogate.
        """
        parts = [np.empty(0, dtype=np.int32)]
        for part, is_name in split_at_names(text, self._names if allow_special else None):
            if is_name:
                parts.append(np.array([self.special_ids[part]], dtype=np.int32))
            else:
                parts.append(np.frombuffer(utf8_bytes(part), dtype=np.uint8))
        return np.concatenate(parts, dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; bytes that are not UTF-8 become U+FFFD.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids, valid UTF-8 or not; special tokens are written as their names.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return b"".join(self._token_bytes[i] for i in checked_ids(ids, self.vocab_size))

    def with_special_tokens(self, names: Sequence[str]) -> "ByteTokenizer":
        """Return this tokenizer with additional special tokens, whose ids follow the existing ones.

        Raises:
            InputError: a name is empty or already in use.
        """
        return ByteTokenizer([*self.special_ids, *names])

    def to_bytes(self) -> bytes:
        """Return the content of the tokenizer's JSON file."""
        content = {"type": "byte", "special_tokens": list(self.special_ids)}
        return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8")

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "ByteTokenizer":
        """Return the tokenizer stored in the content of the file called `name`.

        Raises:
            InputError: the content is damaged or is not a byte tokenizer.
        """
        found = json_object(content, name)
        special_tokens = found.get("special_tokens")
        if found.get("type") != "byte" or not isinstance(special_tokens, list):
            raise InputError(f"{name} is not a byte tokenizer; expected 'type': 'byte' and 'special_tokens'")
        with prefix_errors(name):
            return cls(special_tokens)
