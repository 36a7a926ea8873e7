"""Training BPE: repeatedly merge the most frequent pair of neighboring tokens into a new token.

Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016, arXiv:1508.07909.
On bytes: Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2), 2019.

A regular expression splits the text into chunks, roughly words with the space before them; no token spans
two. The corpus is read once, to count its distinct chunks. After that, a merge visits only the places where
its pair has been recorded, never the whole corpus. A heap finds the most frequent pair.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from scratchgpt.errors import InputError
from scratchgpt.tokenizers.bpe import BPETokenizer
from scratchgpt.tokenizers.bytes_to_unicode import LETTERS, letters_of
from scratchgpt.tokenizers.special_tokens import check_names
from scratchgpt.tokenizers.split_patterns import compile_pattern, split
from scratchgpt.tokenizers.utf8 import utf8_bytes
from scratchgpt.utils.words import counted

Pair = tuple[int, int]

# The single bytes in the order of GPT-2's ids 0 to 255.
BYTES = tuple(bytes([byte]) for byte in sorted(range(256), key=LETTERS.__getitem__))

GONE = -1  # replaces a token that was merged into its left neighbor
NOWHERE = -1  # the place of a neighbor that does not exist


def count_chunks(texts: Iterable[str], pattern: str) -> Counter[str]:
    """Return how often each distinct chunk occurs; each text is split independently and not kept.

    Raises:
        InputError: the pattern cannot split text.
    """
    compiled = compile_pattern(pattern)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split(compiled, text))
    return counts


def train_bpe(
    chunks: Mapping[str, int],
    vocab_size: int,
    pattern: str,
    special_tokens: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> BPETokenizer:
    """Train a tokenizer; its ids are 256 bytes in GPT-2's order, the merges in order, and special tokens.

    Ties between equally frequent pairs go to the pair with the lowest ids, so the result depends only on the
    counts. If the text runs out of pairs before the vocabulary is full, the tokenizer's `vocab_size` is
    smaller.

    Args:
        chunks: how often each distinct chunk occurs (`count_chunks`).
        vocab_size: number of ids: bytes, merges and special tokens.
        pattern: the regular expression that made the chunks.
        special_tokens: names, in the order of their ids.
        progress: called after each merge with the number of merges done and the number requested.

    Raises:
        InputError: the vocabulary is too small for the bytes and the special tokens; a special token's name
            has fewer than two characters, is repeated, or equals the spelling of a learned token in the
            tokenizer's files, see `bytes_to_unicode`.
    """
    check_size(vocab_size, special_tokens)
    check_names(special_tokens)
    tokens, merges = list(BYTES), []
    n_merges = vocab_size - len(BYTES) - len(special_tokens)
    for left, right in learn_merges(chunks, n_merges, progress):
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    for name in {letters_of(token) for token in tokens} & {*special_tokens}:
        raise InputError(
            f"special token {name!r} is also a token learned from the text; choose another name, e.g. "
            f"<|{name}|>"
        )
    token_ids = {token: i for i, token in enumerate(tokens)}
    special_ids = {name: len(tokens) + i for i, name in enumerate(special_tokens)}
    return BPETokenizer(token_ids, merges, pattern, special_ids)


def check_size(vocab_size: int, special_tokens: Sequence[str]) -> None:
    """Check that the vocabulary has room for the bytes and the special tokens.

    Raises:
        InputError: it does not.
    """
    least = len(BYTES) + len(special_tokens)
    if vocab_size < least:
        raise InputError(
            f"vocabulary size is {vocab_size}; expected at least {least} "
            f"({len(BYTES)} bytes and {counted(len(special_tokens), 'special token')})"
        )


def learn_merges(
    chunks: Mapping[str, int], n_merges: int, progress: Callable[[int, int], None] | None = None
) -> list[Pair]:
    """Return the pairs to merge, in order; merge number m creates the token with id 256 + m.

    The heap is lazy: when a pair's count falls, its entry stays, and is corrected when popped. So every pair
    has an entry that is at least its count, and the first entry that is correct is the most frequent pair.
    """
    corpus = _Corpus(chunks)
    heap = [(-count, pair) for pair, count in corpus.counts.items()]
    heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < n_merges:
        claimed, pair = heappop(heap)
        count = corpus.counts.get(pair, 0)
        if count != -claimed:
            if count:
                heappush(heap, (-count, pair))
            continue
        for new_pair in corpus.merge(pair, len(BYTES) + len(merges)):
            heappush(heap, (-corpus.counts[new_pair], new_pair))
        merges.append(pair)
        if progress:
            progress(len(merges), n_merges)
    return merges


class _Corpus:
    """The tokens of all distinct chunks in one list, each linked to its neighbors in its chunk.

    Attributes:
        counts: how often each pair of neighbors occurs.
    """

    def __init__(self, chunks: Mapping[str, int]) -> None:
        self.counts: dict[Pair, int] = defaultdict(int)
        self._places: dict[Pair, list[int]] = defaultdict(list)  # of left tokens, ascending in each chunk
        self._tokens: list[int] = []
        self._weights: list[int] = []  # how often the chunk of each token occurs
        self._before: list[int] = []  # places of the neighbors
        self._after: list[int] = []
        ids = {token[0]: i for i, token in enumerate(BYTES)}
        for chunk, weight in chunks.items():
            tokens = [ids[byte] for byte in utf8_bytes(chunk)]
            start, end = len(self._tokens), len(self._tokens) + len(tokens)
            self._tokens += tokens
            self._weights += [weight] * len(tokens)
            self._before += [NOWHERE, *range(start, end - 1)]
            self._after += [*range(start + 1, end), NOWHERE]
            for place, pair in enumerate(pairwise(tokens), start):
                self._add(pair, place, weight)
        self._tokens.append(GONE)  # index -1, where NOWHERE leads
        self._before.append(NOWHERE)

    def merge(self, pair: Pair, new: int) -> list[Pair]:
        """Merge the pair wherever it occurs, from left to right; return the new pairs that result."""
        tokens, before, after = self._tokens, self._before, self._after
        left, right = pair
        new_pairs = set()
        for i in self._places.pop(pair):
            j = after[i]
            if tokens[i] != left or tokens[j] != right:
                continue  # changed by an earlier merge, or by this one just to the left, as in 'aaa'
            h, k = before[i], after[j]
            tokens[i], tokens[j] = new, GONE
            after[i], before[k] = k, i
            weight = self._weights[i]
            if h != NOWHERE:
                self.counts[tokens[h], left] -= weight
                new_pairs.add(self._add((tokens[h], new), h, weight))
            if k != NOWHERE:
                self.counts[right, tokens[k]] -= weight
                new_pairs.add(self._add((new, tokens[k]), i, weight))
        del self.counts[pair]
        return [each for each in new_pairs if self.counts[each]]

    def _add(self, pair: Pair, place: int, weight: int) -> Pair:
        self.counts[pair] += weight
        self._places[pair].append(place)
        return pair
