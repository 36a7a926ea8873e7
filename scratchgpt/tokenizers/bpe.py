"""Byte-level byte-pair encoding (BPE), GPT-2's tokenizer: any text as frequent sequences of UTF-8 bytes.

Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016, arXiv:1508.07909.
On bytes: Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2), 2019.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.bpe_merging import merge, merge_tables
from scratchgpt.tokenizers.huggingface_writing import to_json
from scratchgpt.tokenizers.id_checks import checked_ids
from scratchgpt.tokenizers.special_tokens import check_names, names_pattern, split_at_names
from scratchgpt.tokenizers.split_patterns import compile_pattern, split
from scratchgpt.tokenizers.utf8 import utf8_bytes

MAX_CACHED_CHUNKS = 2**16
MAX_CACHED_LENGTH = 100  # characters; longer chunks seldom recur, and would fill the memory


class BPETokenizer:
    """Splits text into chunks, and merges the bytes of each chunk pair by pair in the order of training.

    Attributes:
        token_ids: the id of every ordinary token, by its bytes.
        merges: the pairs that become one token, in order of rank.
        pattern: the regular expression that splits text into chunks (`split_patterns`).
        special_ids: the ids of the special tokens by name.
    """

    def __init__(
        self,
        token_ids: Mapping[bytes, int],
        merges: Sequence[tuple[bytes, bytes]],
        pattern: str,
        special_ids: Mapping[str, int],
    ) -> None:
        self.token_ids, self.special_ids = dict(token_ids), dict(special_ids)
        self.merges, self.pattern = list(merges), pattern
        self._token_bytes = _bytes_of_ids(token_ids, special_ids)
        self._byte_ids, self._ranks, self._results = merge_tables(token_ids, merges)
        self._split_pattern = compile_pattern(pattern)
        self._names = names_pattern(special_ids)
        self._cache = _ChunkCache(self._encode_chunk)

    @property
    def vocab_size(self) -> int:
        """Number of ids: bytes, merges and special tokens."""
        return len(self._token_bytes)

    def encode(
        self,
        text: str,
        *,
        allow_special: bool = False,
        dropout: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> Array:
        """Return the ids of a text as an int32 array (N,).

        Args:
            text: any text; it may be empty.
            allow_special: parse the names of special tokens in the text as those tokens.
            dropout: BPE-dropout (arXiv:1910.13267): the probability of skipping a merge when its turn comes,
                so that the same text is tokenized differently each time; 1 leaves single bytes.
            rng: random generator for dropout.

        Raises:
            InputError: the text has a lone surrogate; dropout is not a probability, or has no `rng`.
        """
        utf8_bytes(text)  # raises before any work is done
        if not 0 <= dropout <= 1:
            raise InputError(f"BPE-dropout is {dropout}; expected a probability, from 0 to 1")
        if not dropout:
            return self._encode(text, allow_special, self._cache.__getitem__)
        if rng is None:
            raise InputError(f"BPE-dropout is {dropout}, but there is no random generator; pass rng")
        random = rng.random
        return self._encode(
            text, allow_special, lambda chunk: self._encode_chunk(chunk, lambda: random() < dropout)
        )

    def encode_bytes(self, data: bytes) -> Array:
        r"""Return the ids of arbitrary bytes as an int32 array (N,); `decode_bytes` restores them exactly.

        The ids of valid UTF-8 are those that `encode` gives its text. The split pattern sees an invalid byte
        as a symbol: not a letter, digit or space. Names of special tokens are ordinary bytes.

            ids = tokenizer.encode_bytes(b"\xff\xfe\x00a")
            assert tokenizer.decode_bytes(ids) == b"\xff\xfe\x00a"
        """
        return self._encode(data.decode("utf-8", "surrogateescape"), False, self._cache.__getitem__)

    def encode_with_offsets(
        self, text: str, *, allow_special: bool = False
    ) -> tuple[Array, list[tuple[int, int]]]:
        """Return the ids of a text, and for each id the span of characters that it covers.

        A span (start, end) is such that `text[start:end]` is the text of the token. A token that holds only
        some of a character's bytes covers the whole character, so the spans of neighbors may overlap. This
        maps predictions per token, such as log-probabilities or labels, back onto the text:

            ids, offsets = tokenizer.encode_with_offsets("hello world")
            [text[start:end] for start, end in offsets]  # e.g. ["hello", " world"]

        Returns:
            The int32 array (N,) that `encode` returns, and a list of N spans.

        Raises:
            InputError: the text has a lone surrogate.
        """
        ids = self.encode(text, allow_special=allow_special)
        data = np.frombuffer(utf8_bytes(text), dtype=np.uint8)
        starts_character = (data & 0b1100_0000) != 0b1000_0000  # continuation bytes are 0b10......
        character = np.cumsum(starts_character) - 1  # the index of every byte's character
        ends = np.cumsum([len(self._token_bytes[i]) for i in ids.tolist()], dtype=np.int64)
        starts = np.concatenate(([0], ends))[:-1]
        spans = zip(character[starts].tolist(), (character[ends - 1] + 1).tolist(), strict=True)
        return ids, list(spans)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; special tokens are written as their names, invalid UTF-8 as U+FFFD.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids, valid UTF-8 or not; special tokens are written as their names.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return b"".join(map(self._token_bytes.__getitem__, checked_ids(ids, self.vocab_size)))

    def with_special_tokens(self, names: Sequence[str]) -> "BPETokenizer":
        """Return this tokenizer with additional special tokens, whose ids follow the existing ones.

        Raises:
            InputError: a name has fewer than two characters or already belongs to a token.
        """
        check_names(names, self.special_ids)
        special_ids = self.special_ids | {name: self.vocab_size + i for i, name in enumerate(names)}
        tokenizer = BPETokenizer(self.token_ids, self.merges, self.pattern, special_ids)
        tokenizer.to_bytes()  # raises if the file would write an ordinary token the same way
        return tokenizer

    def to_bytes(self) -> bytes:
        """Return the content of a Hugging Face `tokenizer.json` that holds this tokenizer."""
        return to_json(self.token_ids, self.merges, self.pattern, self.special_ids)

    def _encode(self, text: str, allow_special: bool, encode_chunk: Callable[[str], bytes]) -> Array:
        encoded: list[bytes] = []
        for part, is_name in split_at_names(text, self._names if allow_special else None):
            if is_name:
                encoded.append(_as_int32([self.special_ids[part]]))
            else:
                encoded += map(encode_chunk, split(self._split_pattern, part))
        return np.frombuffer(bytearray(b"".join(encoded)), dtype=np.int32)

    def _encode_chunk(self, chunk: str, drop: Callable[[], bool] | None = None) -> bytes:
        data = chunk.encode("utf-8", "surrogateescape")
        byte_ids = [self._byte_ids[byte] for byte in data]
        return _as_int32(merge(byte_ids, self._ranks, self._results, drop))


class _ChunkCache(dict[str, bytes]):
    """The ids of recent chunks, so that frequent words are merged only once; emptied when it is full."""

    def __init__(self, encode_chunk: Callable[[str], bytes]) -> None:
        self._encode_chunk = encode_chunk

    def __missing__(self, chunk: str) -> bytes:
        ids = self._encode_chunk(chunk)
        if len(chunk) <= MAX_CACHED_LENGTH:
            if len(self) >= MAX_CACHED_CHUNKS:
                self.clear()
            self[chunk] = ids
        return ids


def _as_int32(ids: list[int]) -> bytes:
    """Return the ids as the bytes of an int32 array, which join much faster than lists or arrays."""
    return np.array(ids, dtype=np.int32).tobytes()


def _bytes_of_ids(token_ids: Mapping[bytes, int], special_ids: Mapping[str, int]) -> dict[int, bytes]:
    """Return the bytes of each id, which for a special token are its name.

    Raises:
        InputError: an id has two tokens or none, or a special token has an empty name.
    """
    tokens: dict[int, bytes] = {}
    names = [(utf8_bytes(name), i) for name, i in special_ids.items()]
    for token, i in [*token_ids.items(), *names]:
        if i in tokens:
            raise InputError(f"tokens {tokens[i]!r} and {token!r} share id {i}; expected distinct ids")
        tokens[i] = token
    for i in range(len(tokens)):
        if i not in tokens:
            raise InputError(f"no token has id {i}; expected one for every id in [0, {len(tokens)})")
    if "" in special_ids:
        raise InputError(f"special token {special_ids['']} has an empty name; give it one")
    return tokens
