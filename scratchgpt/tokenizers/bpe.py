"""Byte-pair encoding, GPT-2's tokenizer: any text, as a sequence of frequent pieces of UTF-8.

Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016, arXiv:1508.07909.
On bytes: Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2), 2019.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.bpe_merging import merge, merge_tables
from scratchgpt.tokenizers.huggingface_writing import to_json
from scratchgpt.tokenizers.ids import checked
from scratchgpt.tokenizers.special_names import check_names, names_pattern
from scratchgpt.tokenizers.split_patterns import compile_pattern, split
from scratchgpt.tokenizers.utf8 import utf8_bytes

CACHED_CHUNKS = 2**16
LONGEST_CACHED = 100  # characters; the few longer chunks are seldom seen again, and could fill the memory


class BPETokenizer:
    """Cuts text into chunks and merges the bytes of each chunk, pair by pair, in the order of training.

    Attributes:
        token_ids: the id of every ordinary token, by its bytes.
        merges: the pairs that become one token, in order of rank.
        pattern: the regular expression that cuts text into chunks (`split_patterns`).
        special_ids: the ids of the special tokens.
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
        self._chunks = compile_pattern(pattern)
        self._names = names_pattern(special_ids)
        self._cache = _Cache(self._encode_chunk)

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
            allow_special: whether the name of a special token in the text becomes that token.
            dropout: probability with which a merge is passed over when its turn comes, so that the tokens
                differ each time (BPE-dropout, arXiv:1910.13267); 1 leaves single bytes.
            rng: where dropout gets its random numbers.

        Raises:
            InputError: half of a surrogate pair in the text; a dropout that is no probability, or has no
                `rng`.
        """
        utf8_bytes(text)  # raises before anything is done
        if not 0 <= dropout <= 1:
            raise InputError(f"BPE-dropout is {dropout}; expected a probability, from 0 to 1")
        if not dropout:
            return self._encode(text, allow_special, self._cache.__getitem__)
        if rng is None:
            raise InputError(f"BPE-dropout is {dropout} without rng; expected a random generator")
        random = rng.random
        return self._encode(
            text, allow_special, lambda chunk: self._encode_chunk(chunk, lambda: random() < dropout)
        )

    def encode_batch(self, texts: Iterable[str], *, allow_special: bool = False) -> list[Array]:
        """Return the ids of each text."""
        return [self.encode(text, allow_special=allow_special) for text in texts]

    def encode_bytes(self, data: bytes) -> Array:
        """Return the ids of any bytes, which `decode_bytes` turns into the same bytes again.

        Where they are UTF-8, the ids are those of the text; a byte that is not is split off like a sign.
        """
        return self._encode(data.decode("utf-8", "surrogateescape"), False, self._cache.__getitem__)

    def encode_with_offsets(
        self, text: str, *, allow_special: bool = False
    ) -> tuple[Array, list[tuple[int, int]]]:
        """Return the ids of a text, and of each the characters [start, end) of the text that it stands for.

        A token that holds only some bytes of a character stands for the whole character.
        """
        ids = self.encode(text, allow_special=allow_special)
        data = np.frombuffer(utf8_bytes(text), dtype=np.uint8)
        begins = (data & 0b1100_0000) != 0b1000_0000  # the other bytes of a character are 0b10......
        character = np.cumsum(begins) - 1  # of every byte
        ends = np.cumsum([len(self._token_bytes[i]) for i in ids.tolist()], dtype=np.int64)
        starts = np.concatenate(([0], ends))[:-1]
        spans = zip(character[starts].tolist(), (character[ends - 1] + 1).tolist(), strict=True)
        return ids, list(spans)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; special tokens appear by their names, what is not UTF-8 as U+FFFD.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids, whether or not they are UTF-8; special tokens appear by their names.

        Raises:
            InputError: an id outside [0, vocab_size).
        """
        return b"".join(map(self._token_bytes.__getitem__, checked(ids, self.vocab_size)))

    def with_special_tokens(self, names: Sequence[str]) -> "BPETokenizer":
        """Return this tokenizer with more special tokens, which come after all that it has.

        Raises:
            InputError: a name of fewer than two characters, or one that a token has.
        """
        check_names(names)
        special_ids = self.special_ids | {name: self.vocab_size + i for i, name in enumerate(names)}
        tokenizer = BPETokenizer(self.token_ids, self.merges, self.pattern, special_ids)
        tokenizer.to_bytes()  # raises for a name that the file has for another token
        return tokenizer

    def to_bytes(self) -> bytes:
        """Return the content of a Hugging Face `tokenizer.json` that holds this tokenizer."""
        return to_json(self.token_ids, self.merges, self.pattern, self.special_ids)

    def _encode(self, text: str, allow_special: bool, encode_chunk: Callable[[str], bytes]) -> Array:
        parts: list[bytes] = []
        start = 0
        for name in self._names.finditer(text) if allow_special else ():
            parts += map(encode_chunk, split(self._chunks, text[start : name.start()]))
            parts.append(_as_int32([self.special_ids[name[0]]]))
            start = name.end()
        parts += map(encode_chunk, split(self._chunks, text[start:]))
        return np.frombuffer(bytearray(b"".join(parts)), dtype=np.int32)

    def _encode_chunk(self, chunk: str, drop: Callable[[], bool] | None = None) -> bytes:
        data = chunk.encode("utf-8", "surrogateescape")
        byte_ids = [self._byte_ids[byte] for byte in data]
        return _as_int32(merge(byte_ids, self._ranks, self._results, drop))


class _Cache(dict[str, bytes]):
    """The ids of the chunks that came up lately, so that the words of a language are merged once."""

    def __init__(self, encode_chunk: Callable[[str], bytes]) -> None:
        self._encode_chunk = encode_chunk

    def __missing__(self, chunk: str) -> bytes:
        ids = self._encode_chunk(chunk)
        if len(chunk) <= LONGEST_CACHED:
            if len(self) >= CACHED_CHUNKS:
                self.clear()
            self[chunk] = ids
        return ids


def _as_int32(ids: list[int]) -> bytes:
    """Return ids as they lie in an int32 array: such pieces are joined much faster than lists or arrays."""
    return np.array(ids, dtype=np.int32).tobytes()


def _bytes_of_ids(token_ids: Mapping[bytes, int], special_ids: Mapping[str, int]) -> dict[int, bytes]:
    """Return what each id stands for, a special token for its name.

    Raises:
        InputError: an id that two tokens have, or none; a special token without a name.
    """
    tokens: dict[int, bytes] = {}
    names = [(utf8_bytes(name), i) for name, i in special_ids.items()]
    for token, i in [*token_ids.items(), *names]:
        if i in tokens:
            raise InputError(
                f"token id {i} is that of {tokens[i]!r} and of {token!r}; expected one token for each"
            )
        tokens[i] = token
    for i in range(len(tokens)):
        if i not in tokens:
            raise InputError(f"no token has id {i}; expected one for every id in [0, {len(tokens)})")
    if "" in special_ids:
        raise InputError(f"special token {special_ids['']} has an empty name; expected some text")
    return tokens
