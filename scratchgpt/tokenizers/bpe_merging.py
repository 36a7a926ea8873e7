"""Merging the tokens of one chunk, in time n log n.

Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016, arXiv:1508.07909.
Dropout: Provilkov et al., "BPE-Dropout: Simple and Effective Subword Regularization", 2020, arXiv:1910.13267.
"""

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from scratchgpt.errors import InputError

GONE = -1  # in place of a token that its left neighbour has swallowed, and of a neighbour that there is not


def merge(
    tokens: Sequence[int],
    ranks: Mapping[tuple[int, int], int],
    results: Sequence[int],
    drop: Callable[[], bool] | None = None,
) -> list[int]:
    """Return the tokens that are left when no neighbours can be merged any more.

    Two neighbours are merged at a time: of all pairs that have a rank, the leftmost of the lowest rank.

    A heap holds every pair that can be merged. A merge does not look for the entries that it makes untrue:
    they are recognised when they come up, for the tokens at their place are no longer a pair of their rank.

    Args:
        tokens: ids of a chunk's bytes.
        ranks: of every pair of ids that merges.
        results: the id that the pair of each rank becomes.
        drop: for BPE-dropout, whether to pass over the best pair now. It is asked about anew once another has
            been merged; when every pair has been passed over, merging ends.
    """
    n = len(tokens)
    size = n + 1
    tokens = [*tokens, GONE]  # at n, and so at -1: beyond either end
    before, after = list(range(-1, n)), list(range(1, n + 2))  # places of the neighbours
    rank_of = ranks.get
    # An entry is rank * size + place: one number is compared faster than a tuple of two.
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
    """Return the id of each byte, the rank of each pair of ids that merges, and by rank what it becomes.

    Raises:
        InputError: a byte without a token; a merge of or to what is no token, or one that is there twice.
    """
    for byte in range(256):
        if bytes([byte]) not in token_ids:
            raise InputError(f"byte 0x{byte:02x} has no token; expected one for each of the 256 bytes")
    ranks: dict[tuple[int, int], int] = {}
    for rank, (left, right) in enumerate(merges):
        for token in (left, right, left + right):
            if token not in token_ids:
                raise InputError(
                    f"merge {rank} is {left!r} and {right!r}, but {token!r} is no token; expected tokens only"
                )
        first = ranks.setdefault((token_ids[left], token_ids[right]), rank)
        if first != rank:
            raise InputError(f"merge {rank} is {left!r} and {right!r}, as is merge {first}; expected it once")
    byte_ids = [token_ids[bytes([byte])] for byte in range(256)]
    return byte_ids, ranks, [token_ids[left + right] for left, right in merges]
