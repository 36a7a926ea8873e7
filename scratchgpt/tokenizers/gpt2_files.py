"""The two files in which OpenAI published GPT-2's tokenizer.

encoder.json   {"!": 0, ..., "<|endoftext|>": 50256}: the id of every token
vocab.bpe      a version line, then one merge per line in order of rank, its halves separated by a space

Hugging Face distributes the same content as vocab.json and merges.txt.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scratchgpt.errors import InputError
from scratchgpt.tokenizers.bpe import BPETokenizer
from scratchgpt.tokenizers.bytes_to_unicode import LETTERS, bytes_of
from scratchgpt.tokenizers.file_content import json_object, prefix_errors, read_content
from scratchgpt.tokenizers.split_patterns import GPT2

FILE_PAIRS = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))


def load_gpt2(folder: str | Path) -> BPETokenizer:
    """Return the tokenizer in a folder with encoder.json and vocab.bpe, or vocab.json and merges.txt.

    Raises:
        InputError: a file is missing or damaged, or the two do not match.
    """
    folder = Path(folder)
    for vocabulary, merges in FILE_PAIRS:
        if (folder / vocabulary).exists() or (folder / merges).exists():
            break
    else:
        raise InputError(
            f"{folder} has neither {FILE_PAIRS[0][0]} nor {FILE_PAIRS[1][0]}; expected GPT-2's two files"
        )
    name = str(folder / vocabulary)
    ids = checked_vocabulary(json_object(read_content(folder / vocabulary), name), name)
    pairs = _read_merges(folder / merges)
    return build_tokenizer(ids, pairs, GPT2, name)


def _read_merges(path: Path) -> list[tuple[str, tuple[str, str]]]:
    """Return the merges, each with the file and line it was read from, for error messages."""
    pairs = []
    try:
        lines = read_content(path).decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 at offset {error.start}; expected a list of merges") from None
    for number, line in enumerate(lines, start=1):
        halves = line.split(" ")
        if (number == 1 and line.startswith("#version")) or (number == len(lines) and not line):
            continue
        if len(halves) != 2 or not all(halves):
            raise InputError(f"{path}, line {number} is {line[:60]!r}; expected two tokens to merge")
        pairs.append((f"{path}, line {number}", (halves[0], halves[1])))
    return pairs


def checked_vocabulary(vocabulary: Mapping[str, Any], name: str) -> dict[str, int]:
    """Return the vocabulary of the file called `name`, whose ids must be distinct integers from 0 up.

    Raises:
        InputError: an id is not an integer, is negative or is used twice.
    """
    seen: dict[int, str] = {}
    for token, i in vocabulary.items():
        if type(i) is not int or i < 0:
            raise InputError(f"{name}: the id of token {token!r} is {i!r}; expected a whole number from 0 up")
        if seen.setdefault(i, token) != token:
            raise InputError(f"{name}: tokens {seen[i]!r} and {token!r} share id {i}; expected distinct ids")
    return dict(vocabulary)


def build_tokenizer(
    ids: Mapping[str, int],
    pairs: Iterable[tuple[str, tuple[str, str]]],
    pattern: str,
    name: str,
    special_ids: Mapping[str, int] | None = None,
) -> BPETokenizer:
    """Return the tokenizer of a vocabulary and merges whose tokens are written in `LETTERS`.

    Args:
        ids: the id of every token, as the file writes it.
        pairs: the merges in order of rank: where each was read, for error messages, and its two halves.
        pattern: the regular expression that splits text into chunks.
        name: the file with the vocabulary, for error messages.
        special_ids: the special tokens; None: all tokens that are neither a byte nor the result of a merge.

    Raises:
        InputError: the vocabulary and the merges do not match, or a byte has no token.
    """
    made = set(LETTERS)
    merges = []
    for place, (left, right) in pairs:
        for token in (left, right, left + right):
            if token not in ids:
                raise InputError(f"{place}: token {token!r} has no id in {name}")
        merges.append((_bytes_or_refuse(left, place), _bytes_or_refuse(right, place)))
        made.add(left + right)
    if special_ids is None:
        special_ids = {token: i for token, i in ids.items() if token not in made}
    token_ids = {_bytes_or_refuse(token, name): i for token, i in ids.items() if token not in special_ids}
    if missing := [letter for letter in LETTERS if letter not in ids]:
        raise InputError(
            f"{name} lacks {len(missing)} of the 256 bytes, the first {missing[0]!r}; expected all of them"
        )
    with prefix_errors(name):
        return BPETokenizer(token_ids, merges, pattern, special_ids)


def _bytes_or_refuse(letters: str, place: str) -> bytes:
    token = bytes_of(letters)
    if token is None:
        raise InputError(
            f"{place}: token {letters!r} is not written in GPT-2's letters for bytes, e.g. Ġ for a space"
        )
    return token
