"""A text of known entropy: stories from a probabilistic context-free grammar (PCFG).

No model can predict a text better, on average, than the source that produced it: the mean loss cannot fall
below the source's entropy. For books that floor is unknown; for a grammar it can be computed. A derivation
starts from one nonterminal and replaces nonterminals by one of their alternatives until only text is left;
its choices are independent. So the entropy of what nonterminal A expands to is

    H(A) = sum over its alternatives of p * (-ln p + sum of H over the nonterminals in the alternative),

one linear equation for each nonterminal. This is the entropy of derivations. It equals the entropy of texts
if no text has two derivations, which `Grammar.entropy` verifies (`check_unambiguous` has the proof).

The floor of the loss per token is nats_per_document / (mean number of tokens per document, including its end
token), for every lossless tokenizer, because tokens are the same text spelled differently. The end token adds
to the number of tokens but not to the entropy, because no story is a prefix of another. A trained model stays
above the floor even if it makes no mistakes: a window that begins within a story does not show who the story
is about, a window shorter than a story forgets it, and a finite text teaches only so much. On the other hand,
the held-out stories are a sample: the loss of a perfect model would scatter around the floor by (standard
deviation of a story's surprisal) / sqrt(number of stories).

Source: Grenander, "Syntax-Controlled Probabilities" (1967).
"""

import functools
import math
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from scratchgpt.corpora.corpus import Corpus, Piece
from scratchgpt.corpora.grammar_rules import check_unambiguous, is_nonterminal, read_rules
from scratchgpt.corpora.stories import rules
from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers.special_tokens import END_OF_TEXT

STREAM_KEY = int.from_bytes(b"stories", "big")  # keeps this random stream distinct from all others
MAX_MEAN_CHOICES = 1e9  # in a derivation; a larger mean is infinity after rounding


class Sample(NamedTuple):
    """A text and the log-probability of the derivation that made it, in nats."""

    text: str
    log_probability: float


class Grammar:
    """A probabilistic context-free grammar.

    Attributes:
        rules: the alternatives of every nonterminal; the start symbol comes first.
    """

    def __init__(self, rules: Mapping[str, Mapping[str, float]], start: str) -> None:
        """Read the rules in the form that `read_rules` describes.

        Raises:
            InputError: `read_rules` rejects the rules, or derivations are infinitely long on average.
        """
        self.rules = read_rules(rules, start)
        self._start = next(iter(self.rules))
        lengths = self._expected([1.0] * len(self.rules))
        # The solution of x = 1 + M x is positive exactly if the spectral radius of M is below 1.
        if not 0 < lengths.min() <= lengths.max() < MAX_MEAN_CHOICES:
            raise InputError(
                "the grammar's derivations are infinitely long on average; make recursive alternatives less "
                "likely"
            )
        # For each choice: thresholds for a uniform number; symbols in stack order, the first one last.
        self._choices = {
            name: (
                list(accumulate(probability for probability, _ in rule[:-1])),
                [(math.log(probability), symbols[::-1]) for probability, symbols in rule],
            )
            for name, rule in self.rules.items()
        }

    def sample(self, uniform: Iterator[float]) -> Sample:
        """Return a random text; `uniform` yields numbers in [0, 1), one for each choice."""
        choices, stack = self._choices, [self._start]
        texts: list[str] = []
        log_probability = 0.0
        while stack:
            symbol = stack.pop()
            if symbol in choices:
                limits, alternatives = choices[symbol]
                log_p, symbols = alternatives[bisect(limits, next(uniform))]
                log_probability += log_p
                stack += symbols
            else:
                texts.append(symbol)
        return Sample("".join(texts), log_probability)

    def log_probability(self, text: str) -> float:
        """Return the log-probability of exactly this text, over all its derivations; -inf if it has none.

        All leftmost derivations are followed at once. The symbols that one has yet to derive form a stack;
        equal stacks at the same place of the text are merged, and their probabilities added.
        """
        reached: list[dict[tuple[str, ...], float]] = [{} for _ in range(len(text) + 1)]
        reached[0][(self._start,)] = 0.0
        for here, stacks in enumerate(reached[:-1]):
            todo = list(stacks.items())
            while todo:
                (*rest, top), log_p = todo.pop()
                if top in self._choices:
                    for log_choice, symbols in self._choices[top][1]:
                        first = symbols[-1]
                        if is_nonterminal(first) or text.startswith(first, here):
                            todo.append(((*rest, *symbols), log_p + log_choice))
                elif text.startswith(top, here) and (rest or here + len(top) == len(text)):
                    there, left = reached[here + len(top)], tuple(rest)
                    there[left] = float(np.logaddexp(there[left], log_p)) if left in there else log_p
        return reached[-1].get((), -math.inf)

    def entropy(self) -> float:
        """Return the exact entropy of a text, in nats.

        Raises:
            InputError: the grammar cannot be shown to be unambiguous (`check_unambiguous`).
        """
        check_unambiguous(self.rules)
        own = [-sum(p * math.log(p) for p, _ in rule) for rule in self.rules.values()]
        return float(self._expected(own)[0])

    def mean_characters(self) -> float:
        """Return the exact mean length of a text."""
        own = [
            sum(p * len(symbol) for p, symbols in rule for symbol in symbols if not is_nonterminal(symbol))
            for rule in self.rules.values()
        ]
        return float(self._expected(own)[0])

    def _expected(self, own: Sequence[float]) -> Array:
        """Return, for each nonterminal, the expected total over its derivations; each expansion adds `own`.

        This is the solution of x = own + M x, where M[A, B] is the mean number of Bs in A's alternatives.
        """
        index = {name: i for i, name in enumerate(self.rules)}
        means = np.zeros((len(index), len(index)))
        for name, rule in self.rules.items():
            for probability, symbols in rule:
                for symbol in filter(is_nonterminal, symbols):
                    means[index[name], index[symbol]] += probability
        try:
            return np.linalg.solve(np.eye(len(index)) - means, np.array(own))
        except np.linalg.LinAlgError:  # the spectral radius is 1
            return np.full(len(index), np.inf)


def _uniform(seed: int) -> Iterator[float]:
    """Yield numbers in [0, 1), the same everywhere: NumPy guarantees Philox's integers, not its floats."""
    philox = np.random.Philox(key=np.array([seed, STREAM_KEY], dtype=np.uint64))
    while True:
        yield from ((philox.random_raw(4096) >> np.uint64(11)) * 2.0**-53).tolist()


def story_grammar() -> Grammar:
    """Return the grammar of the built-in stories."""
    return Grammar(rules(), "story")


@functools.cache
def story_entropy() -> float:
    """Return the exact entropy of a built-in story in nats; cached, because the check takes a while."""
    return story_grammar().entropy()


def corpus(n_documents: int = 8000, seed: int = 0) -> Corpus:
    """Return a corpus of random stories, the same for the same seed on every machine.

    A longer corpus begins with the stories of a shorter one. The default of 8000 stories is 3.2 MB.

    Args:
        n_documents: number of stories; each is a document that ends with `<|endoftext|>`.
        seed: selects the stories.

    Raises:
        InputError: fewer than one document, or a seed outside [0, 2**64).
    """
    if n_documents < 1:
        raise InputError(f"the number of stories is {n_documents}; expected at least 1")
    if not 0 <= seed < 2**64:
        raise InputError(f"the seed of the stories is {seed}; expected one in [0, 2**64)")
    stories = story_grammar()

    def pieces() -> Iterator[Piece]:
        uniform = _uniform(seed)
        for _ in range(n_documents):
            yield Piece(stories.sample(uniform).text)
            yield Piece(END_OF_TEXT, special=True, ends=True)

    return Corpus(
        "grammar",
        pieces,
        specials=(END_OF_TEXT,),
        eos=(END_OF_TEXT,),
        nats_per_document=story_entropy(),
    )
