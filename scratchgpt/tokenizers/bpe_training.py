"""Learning a vocabulary: the pair of neighbours that occurs most often becomes one token, again and again.

Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016, arXiv:1508.07909.
On bytes: Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2), 2019.

The corpus is read once, to count its distinct chunks. From then on a merge takes as many steps as it changes
places, so all merges together take no more than the distinct chunks have bytes. A heap finds the next pair.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from scratchgpt.errors import InputError
from scratchgpt.tokenizers.bpe import BPETokenizer
from scratchgpt.tokenizers.byte_letters import LETTERS, letters_of
from scratchgpt.tokenizers.special_names import check_names
from scratchgpt.tokenizers.split_patterns import compile_pattern, split
from scratchgpt.tokenizers.utf8 import utf8_bytes
from scratchgpt.utils.words import counted

Pair = tuple[int, int]

BYTES = tuple(
    bytes([byte]) for byte in sorted(range(256), key=LETTERS.__getitem__)
)  # as GPT-2's ids 0 to 255

GONE = -1  # in place of a token that its left neighbour has swallowed
NOWHERE = -1  # the place of a neighbour that there is not


def count_chunks(texts: Iterable[str], pattern: str) -> Counter[str]:
    """Return how often each distinct chunk occurs in some texts, each split by itself and then forgotten.

    Raises:
        InputError: a pattern that cannot split text.
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
    """Return the tokenizer of a corpus: 256 bytes in GPT-2's order, merges in theirs, special tokens last.

    Of pairs that occur equally often the one with the lowest ids is merged, so that the counts alone decide.
    If the text runs out of pairs before the vocabulary is full, the tokenizer's `vocab_size` is smaller.

    Args:
        chunks: how often each distinct chunk occurs (`count_chunks`).
        vocab_size: number of ids: bytes, merges and special tokens.
        pattern: the regular expression that made the chunks.
        special_tokens: names, in the order of their ids.
        progress: called after each merge with the number of merges made, and of those wanted.

    Raises:
        InputError: a vocabulary too small for the bytes and the special tokens; a name of fewer than two
            characters, one that is there twice, or that of a token which the text has made.
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
            f"special token {name!r} is spelt like a token that the text has made; expected another name, "
            "as <name> or <|name|>"
        )
    token_ids = {token: i for i, token in enumerate(tokens)}
    special_ids = {name: len(tokens) + i for i, name in enumerate(special_tokens)}
    return BPETokenizer(token_ids, merges, pattern, special_ids)


def check_size(vocab_size: int, special_tokens: Sequence[str]) -> None:
    """See that there is room for the bytes and the special tokens.

    Raises:
        InputError: there is not.
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
    """Return the pairs to merge, in their order; merge number m makes the token with id 256 + m.

    The heap is lazy: a pair whose count falls keeps its entry, which is put right when it comes up. So every
    pair has an entry that is not below its count, and the first true entry names the most frequent pair.
    """
    corpus = _Corpus(chunks)
    heap = [(-count, pair) for pair, count in corpus.counts.items()]
    heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < n_merges:
        promised, pair = heappop(heap)
        count = corpus.counts.get(pair, 0)
        if count != -promised:
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
    """The distinct chunks of a corpus as tokens, one chunk after the other, each linked to its neighbours.

    Attributes:
        counts: how often each pair of neighbours occurs.
    """

    def __init__(self, chunks: Mapping[str, int]) -> None:
        self.counts: dict[Pair, int] = defaultdict(int)
        self._places: dict[Pair, list[int]] = defaultdict(list)  # of left tokens, ascending in each chunk
        self._tokens: list[int] = []
        self._weights: list[int] = []  # how often the chunk of each token occurs
        self._before: list[int] = []  # places of the neighbours
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
        self._tokens.append(GONE)  # what is found at NOWHERE
        self._before.append(NOWHERE)

    def merge(self, pair: Pair, new: int) -> list[Pair]:
        """Make the pair one token wherever it occurs, from left to right; return the pairs that arise."""
        tokens, before, after = self._tokens, self._before, self._after
        left, right = pair
        arisen = set()
        for i in self._places.pop(pair):
            j = after[i]
            if tokens[i] != left or tokens[j] != right:
                continue  # another merge, or this one a place before, was here
            h, k = before[i], after[j]
            tokens[i], tokens[j] = new, GONE
            after[i], before[k] = k, i
            weight = self._weights[i]
            if h != NOWHERE:
                self.counts[tokens[h], left] -= weight
                arisen.add(self._add((tokens[h], new), h, weight))
            if k != NOWHERE:
                self.counts[right, tokens[k]] -= weight
                arisen.add(self._add((new, tokens[k]), i, weight))
        del self.counts[pair]
        return [each for each in arisen if self.counts[each]]

    def _add(self, pair: Pair, place: int, weight: int) -> Pair:
        self.counts[pair] += weight
        self._places[pair].append(place)
        return pair
