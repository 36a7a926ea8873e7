"""Grammars: derivations, probabilities, entropy, and the built-in stories."""

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.corpora.corpus import Piece
from scratchgpt.corpora.grammar import Grammar, corpus, story_grammar
from scratchgpt.corpora.grammar_rules import check_unambiguous
from scratchgpt.corpora.stories import HEROES, rules
from scratchgpt.errors import InputError
from scratchgpt.tokenizers.special_tokens import END_OF_TEXT as END

# A word of n letters a has probability (1 - p) p^(n - 1), for p = 1/4: a geometric distribution.
WORDS = {"word": {"a[more]": 1.0}, "more": {".": 0.75, "[word]": 0.25}}
# "aaa" is a(aa) and (aa)a.
AMBIGUOUS = {"pair": {"[run][run]": 1.0}, "run": {"a": 0.5, "aa": 0.5}}


@pytest.fixture(scope="module")
def stories() -> Grammar:
    return story_grammar()


def uniform(seed: int) -> Iterator[float]:
    rng = np.random.default_rng(seed)
    return iter(rng.random, None)


def texts(n: int, seed: int = 0) -> list[str]:
    return [piece.text for piece in corpus(n, seed).pieces() if not piece.special]


def test_entropy_and_length_of_a_geometric_distribution() -> None:
    grammar = Grammar(WORDS, "word")
    p = 0.25
    assert grammar.entropy() == pytest.approx((-p * math.log(p) - (1 - p) * math.log(1 - p)) / (1 - p))
    assert grammar.mean_characters() == pytest.approx(1 / (1 - p) + 1)
    assert grammar.log_probability("aaa.") == pytest.approx(math.log((1 - p) * p**2))


def test_entropy_of_nested_choices_computed_by_hand() -> None:
    """Two independent coins of ln 2 each; the second is thrown in only half of the texts."""
    grammar = Grammar({"s": {"x[coin]": 0.5, "y": 0.5}, "coin": {"0": 0.5, "1": 0.5}}, "s")
    assert grammar.entropy() == pytest.approx(1.5 * math.log(2))
    assert grammar.mean_characters() == pytest.approx(1.5)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_entropy_of_one_choice_is_shannons(weights: list[float]) -> None:
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    grammar = Grammar({"s": {f"{i}[tail]": share for i, share in enumerate(shares)}, "tail": {"!": 1}}, "s")
    assert grammar.entropy() == pytest.approx(-sum(p * math.log(p) for p in shares), abs=1e-12)


@pytest.mark.parametrize(
    ("grammar", "alphabet", "of_longer_texts"),
    [
        (Grammar(WORDS, "word"), "a.", 0.25**6),
        (Grammar(AMBIGUOUS, "pair"), "a", 0),
        (Grammar({"s": {"[t]-[t]": 0.6, "[t]": 0.4}, "t": {"x": 0.7, "yz": 0.3}}, "s"), "-xyz", 0),
    ],
)
def test_probabilities_of_all_texts_sum_to_one(
    grammar: Grammar, alphabet: str, of_longer_texts: float
) -> None:
    total = sum(
        math.exp(grammar.log_probability("".join(text)))
        for length in range(8)
        for text in itertools.product(alphabet, repeat=length)
    )
    assert total == pytest.approx(1 - of_longer_texts, abs=1e-12)


def test_an_ambiguous_text_gets_the_probability_of_all_its_derivations() -> None:
    grammar = Grammar(AMBIGUOUS, "pair")
    assert math.exp(grammar.log_probability("aaa")) == pytest.approx(0.5)
    source = uniform(0)
    derived = [sample for sample in (grammar.sample(source) for _ in range(100)) if sample.text == "aaa"]
    assert derived
    for sample in derived:
        assert math.exp(sample.log_probability) == pytest.approx(0.25)


def test_equal_stacks_are_merged_so_that_many_derivations_cost_little() -> None:
    grammar = Grammar({"s": {"a": 0.5, "a[s]": 0.25, "aa[s]": 0.25}}, "s")
    ways = [0.0, 0.5]
    for _ in range(300):
        ways.append(0.25 * (ways[-1] + ways[-2]))
    assert grammar.log_probability("a" * 300) == pytest.approx(math.log(ways[300]))


@pytest.mark.parametrize(
    "ambiguous",
    [
        AMBIGUOUS,
        {"pair": {"a fox": 0.5, "a fox who sang": 0.5}},
        {"pair": {"[x]b": 0.5, "a[y]": 0.5}, "x": {"a": 1.0}, "y": {"b": 1.0}},
        {"pair": {"if [pair]": 0.3, "if [pair] else [pair]": 0.2, "x": 0.5}},
    ],
)
def test_entropy_is_refused_where_a_text_may_have_two_derivations(
    ambiguous: Mapping[str, Mapping[str, float]],
) -> None:
    with pytest.raises(InputError, match="may be ambiguous"):
        Grammar(ambiguous, "pair").entropy()


def test_alternatives_that_differ_only_after_recursion_are_distinguished() -> None:
    words = {"s": {"[word]!": 0.5, "[word]?": 0.5}} | WORDS
    check_unambiguous(Grammar(words, "s").rules)
    twins = {"s": {"[x]!": 0.5, "[y]?": 0.5}, "x": {"a[x]": 0.5, "b": 0.5}, "y": {"a[y]": 0.5, "b": 0.5}}
    check_unambiguous(Grammar(twins, "s").rules)


def test_an_endless_comparison_is_given_up() -> None:
    palindromes = {
        "s": {"[x]!": 0.5, "[y]?": 0.5},
        "x": {"a[x]b": 0.4, "c": 0.6},
        "y": {"a[y]d": 0.4, "c": 0.6},
    }
    with pytest.raises(InputError, match="comparisons"):
        Grammar(palindromes, "s").entropy()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"s": {"a": 0.5, "b": 0.4}}, "sum to 0.9"),
        ({"s": {"a": 1.5, "b": -0.5}}, "expected positive"),
        ({"s": {}}, "sum to 0"),
        ({"s": {"a[t]": 1.0}}, r"\[s\] uses \[t\]"),
        ({"t": {"a": 1.0}}, r"starts with \[s\]"),
        ({"s": {"": 0.5, "a": 0.5}}, "empty alternative"),
        ({"s": {"[s]a": 0.1, "b": 0.9}}, "left-recursive"),
        ({"s": {"[t]a": 0.1, "b": 0.9}, "t": {"[s]c": 1.0}}, r"\[\w\] -> \[\w\] -> \[\w\]"),
        ({"s": {"a": 0.5, "b[s][s]": 0.5}}, "infinitely long"),  # critical: finite, but not on average
        ({"s": {"a": 0.4, "b[s][s]": 0.6}}, "infinitely long"),
        ({"s": {"a[s]": 1.0}}, "infinitely long"),
    ],
)
def test_bad_rules_are_refused(bad: Mapping[str, Mapping[str, float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Grammar(bad, "s")


def test_every_rule_of_the_stories_is_used(stories: Grammar) -> None:
    used = {symbol for rule in stories.rules.values() for _, symbols in rule for symbol in symbols}
    assert stories.rules.keys() - used == {"[story]"}


def test_no_slot_is_left_unfilled_and_the_stories_are_plain_ascii() -> None:
    filled = "".join(name + "".join(rule) for name, rule in rules().items())
    assert "{" not in filled
    assert filled.isascii()
    assert filled.isprintable()


@pytest.mark.parametrize("n_stories", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_the_stories_are_unambiguous_by_proof_and_by_the_sum_over_derivations(
    stories: Grammar, n_stories: int
) -> None:
    check_unambiguous(stories.rules)
    source = uniform(1)
    for _ in range(n_stories):
        sample = stories.sample(source)
        assert stories.log_probability(sample.text) == pytest.approx(sample.log_probability, abs=1e-9)


def test_mean_surprisal_and_length_of_many_stories_agree_with_the_exact_values(stories: Grammar) -> None:
    source = uniform(2)
    samples = [stories.sample(source) for _ in range(4000)]
    for measured, exact in (
        ([-sample.log_probability for sample in samples], stories.entropy()),
        ([len(sample.text) for sample in samples], stories.mean_characters()),
    ):
        assert abs(np.mean(measured) - exact) < 4 * np.std(measured) / math.sqrt(len(measured))


def test_a_story_is_consistent(stories: Grammar) -> None:
    """Hero, weather and lost thing return at the end; with others in their place the text is not a story."""
    story = (
        "Once, while snow lay on the hills, Mila the hedgehog was sad. She had lost a wig. She looked under "
        'the bed and found jam. "Where is my wig?" she asked the clown. "Look under the stove," came the '
        "answer. But the wig lay behind the sofa, covered in mud. Soon the snow had melted, and Mila was "
        "happy again."
    )
    assert -100 < stories.log_probability(story) < -30
    for old, new in (
        ("and Mila was", "and Rosa was"),
        ("the snow had melted", "the fog had lifted"),
        ("But the wig", "But the teapot"),
        ("she asked", "he asked"),
        ("again.", "again"),
        ("again.", "again. "),
    ):
        assert old in story
        assert stories.log_probability(story.replace(old, new)) == -math.inf
    assert stories.log_probability("") == -math.inf


def test_no_hero_visits_itself() -> None:
    filled = rules()
    for hero in HEROES:
        assert len(filled[f"visit {hero['name']}"]) == len(HEROES) - 1
        assert not any(f"see {hero['name']}" in text for text in filled[f"visit {hero['name']}"])


def test_a_corpus_yields_the_same_documents_each_time_with_their_end_tokens(stories: Grammar) -> None:
    stories_corpus = corpus(50, seed=3)
    pieces = list(stories_corpus.pieces())
    assert pieces == list(stories_corpus.pieces())
    assert len(pieces) == 100
    assert all(piece == Piece(END, special=True, ends=True) for piece in pieces[1::2])
    assert all(stories.log_probability(piece.text) > -math.inf for piece in pieces[::2])
    assert stories_corpus.specials == (END,)
    assert stories_corpus.nats_per_document == stories.entropy()


def test_a_longer_corpus_begins_with_the_shorter_one_and_another_seed_gives_other_stories() -> None:
    twenty = texts(20)
    assert texts(30)[:20] == twenty
    assert not set(twenty) & set(texts(20, seed=1))


def test_the_first_hundred_stories_never_change() -> None:
    digest = hashlib.sha256("\n".join(texts(100)).encode()).hexdigest()
    assert digest == "fbe1af9397f40697e3cb65c9d86310aca03df5b417eab687da2382517deee23f"


@pytest.mark.parametrize(("n_documents", "seed"), [(0, 0), (1, -1), (1, 2**64)])
def test_impossible_corpora_are_refused(n_documents: int, seed: int) -> None:
    with pytest.raises(InputError, match="expected"):
        corpus(n_documents, seed)
