"""Merging the tokens of one chunk in O(n log n) time.

Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016, arXiv:1508.07909.
Dropout: Provilkov et al., "BPE-Dropout: Simple and Effective Subword Regularization", 2020, arXiv:1910.13267.
"""

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from scratchgpt.errors import InputError

GONE = -1  # replaces a token merged into its left neighbor, and stands beyond both ends of the chunk


def merge(
    tokens: Sequence[int],
    ranks: Mapping[tuple[int, int], int],
    results: Sequence[int],
    drop: Callable[[], bool] | None = None,
) -> list[int]:
    """Return the tokens that remain when no two neighbors can be merged.

    Each step merges one pair of neighbors: the pair of the lowest rank, and of equal pairs the leftmost.

    A heap holds every pair that can be merged. A merge does not search the heap for entries that it makes
    stale: they are recognized when popped, because the tokens at their place no longer form a pair of their
    rank.

    Args:
        tokens: ids of a chunk's bytes.
        ranks: the rank of every pair of ids that merges.
        results: the id that the pair of each rank becomes.
        drop: for BPE-dropout: called for the best pair, returns whether to skip it. Skipped pairs are tried
            again after the next merge; merging ends when every remaining pair has been skipped.
    """
    n = len(tokens)
    size = n + 1
    tokens = [*tokens, GONE]  # index n, and so also index -1: beyond either end
    before, after = list(range(-1, n)), list(range(1, n + 2))  # places of the neighbors
    rank_of = ranks.get
    # An entry is rank * size + place: comparing ints is faster than comparing pairs.
    heap = [rank * size + i for i, pair in enumerate(pairwise(tokens)) if (rank := rank_of(pair)) is not None]
    heapify(heap)
    dropped: list[int] = []
    while heap:
        entry = heappop(heap)
        rank, i = divmod(entry, size)
        j = after[i]
        if rank_of((tokens[i], tokens[j])) != rank:
            continue
        if drop and drop():
            dropped.append(entry)
            continue
        merged = tokens[i] = results[rank]
        tokens[j] = GONE
        h, k = before[i], after[j]
        after[i], before[k] = k, i
        if (rank := rank_of((tokens[h], merged))) is not None:
            heappush(heap, rank * size + h)
        if (rank := rank_of((merged, tokens[k]))) is not None:
            heappush(heap, rank * size + i)
        while dropped:
            heappush(heap, dropped.pop())
    return [token for token in tokens if token != GONE]


def merge_tables(
    token_ids: Mapping[bytes, int], merges: Sequence[tuple[bytes, bytes]]
) -> tuple[list[int], dict[tuple[int, int], int], list[int]]:
    """Return the id of each byte, the rank of each pair of ids that merges, and the resulting id by rank.

    Raises:
        InputError: a byte has no token, a merge uses or makes an unknown token, or a merge is repeated.
    """
    for byte in range(256):
        if bytes([byte]) not in token_ids:
            raise InputError(f"byte 0x{byte:02x} has no token; expected one for each of the 256 bytes")
    ranks: dict[tuple[int, int], int] = {}
    for rank, (left, right) in enumerate(merges):
        for token in (left, right, left + right):
            if token not in token_ids:
                raise InputError(
                    f"merge {rank} is {left!r} + {right!r}, but {token!r} is not in the vocabulary"
                )
        first = ranks.setdefault((token_ids[left], token_ids[right]), rank)
        if first != rank:
            raise InputError(f"merge {rank} repeats merge {first}, {left!r} + {right!r}; remove one of them")
    byte_ids = [token_ids[bytes([byte])] for byte in range(256)]
    return byte_ids, ranks, [token_ids[left + right] for left, right in merges]
