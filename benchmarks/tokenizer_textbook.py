"""Byte-pair encoding trained as in the textbook: two passes over the whole text for every merge."""

import time
from collections import Counter
from itertools import pairwise

import numpy as np

from scratchgpt.tokenizers import BPETokenizer
from scratchgpt.tokenizers.bpe_training import BYTES
from scratchgpt.tokenizers.split_patterns import compile_pattern, split


def textbook_seconds(text: str, n_merges: int, expected: BPETokenizer) -> tuple[list[float], list[int]]:
    """Time the first merges of a text.

    Returns:
        The seconds of each merge, and the number of tokens before it.

    Raises:
        RuntimeError: a merge is not the one that our tokenizer made.
    """
    ids = {token[0]: i for i, token in enumerate(BYTES)}
    chunks = [
        [ids[byte] for byte in chunk.encode()] for chunk in split(compile_pattern(expected.pattern), text)
    ]
    seconds, lengths = [], []
    for rank in range(n_merges):
        lengths.append(sum(map(len, chunks)))
        started = time.process_time()
        counts = Counter(pair for chunk in chunks for pair in pairwise(chunk))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        chunks = [_replaced(chunk, best, len(BYTES) + rank) for chunk in chunks]
        seconds.append(time.process_time() - started)
        if best != tuple(expected.token_ids[half] for half in expected.merges[rank]):
            raise RuntimeError(
                f"the textbook's merge {rank} is {best}, our tokenizer made another one; "
                "their speed cannot be compared"
            )
    return seconds, lengths


def _replaced(chunk: list[int], pair: tuple[int, int], new: int) -> list[int]:
    result, i = [], 0
    while i < len(chunk):
        if i + 1 < len(chunk) and (chunk[i], chunk[i + 1]) == pair:
            result.append(new)
            i += 2
        else:
            result.append(chunk[i])
            i += 1
    return result


def lengths_during_training(tokenizer: BPETokenizer, text: str) -> list[int]:
    """Return how many tokens the text has before each merge.

    Every use of a merged token is one merge of it, and a use of both its halves.
    """
    ids = tokenizer.token_ids
    uses = np.bincount(tokenizer.encode(text), minlength=tokenizer.vocab_size)
    for left, right in reversed(tokenizer.merges):
        for half in (left, right):
            uses[ids[half]] += uses[ids[left + right]]
    merged = [int(uses[ids[left + right]]) for left, right in tokenizer.merges]
    return (len(text.encode()) - np.cumsum([0, *merged[:-1]])).tolist()
