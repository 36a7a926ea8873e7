"""What is done to the scores before a token is picked: each against its definition, written as a loop."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.generation import GenerationSettings
from scratchgpt.generation.pipeline import Pipeline, Text
from scratchgpt.generation.processors import (
    banned,
    logit_bias,
    min_new_tokens,
    min_p,
    no_repeat_ngram,
    presence_frequency,
    repetition,
    temperature,
    top_k,
    top_p,
    typical,
)
from scratchgpt.ops.sampling import sample

V = 7
# Whole numbers are often equal, so that ties are common; the others hardly ever are.
NUMBERS = st.one_of(st.integers(-4, 4).map(float), st.floats(-30, 30))
SCORES = st.lists(NUMBERS, min_size=V, max_size=V).map(lambda x: np.array(x, dtype=np.float64))
IDS = st.lists(st.integers(0, V - 1), min_size=1, max_size=12)
SHARES = st.floats(0.01, 1.0)


def possible(scores: np.ndarray) -> list[int]:
    return [i for i, score in enumerate(scores) if score > -math.inf]


def probabilities(scores: Sequence[float]) -> list[float]:
    largest = max(scores)
    weights = [math.exp(score - largest) for score in scores]
    return [weight / math.fsum(weights) for weight in weights]


def assert_only_these(found: np.ndarray, scores: np.ndarray, kept: list[int]) -> None:
    """Those that are kept have their scores, to the bit, and no other is possible."""
    expected = [score if i in kept else -math.inf for i, score in enumerate(scores)]
    assert found.tolist() == expected


@given(SCORES, IDS, st.floats(0.1, 5))
def test_repetition_divides_what_is_positive_and_multiplies_what_is_negative(
    scores: np.ndarray, ids: list[int], penalty: float
) -> None:
    found = repetition.process(scores, ids, penalty)
    for i, score in enumerate(scores):
        once = score * penalty if score < 0 else score / penalty
        assert found[i] == (once if i in ids else score)


@given(SCORES, IDS, st.floats(-2, 2), st.floats(-2, 2))
def test_presence_counts_once_and_frequency_every_time(
    scores: np.ndarray, new_ids: list[int], presence: float, frequency: float
) -> None:
    found = presence_frequency.process(scores, new_ids, presence, frequency)
    for i, score in enumerate(scores):
        count = new_ids.count(i)
        assert found[i] == pytest.approx(score - presence * min(count, 1) - frequency * count, abs=1e-12)


@given(SCORES, IDS, st.integers(1, 4))
def test_no_ngram_occurs_twice(scores: np.ndarray, ids: list[int], n: int) -> None:
    old = {tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)}
    kept = [token for token in range(V) if tuple([*ids, token][-n:]) not in old]
    assert_only_these(no_repeat_ngram.process(scores, ids, n), scores, kept)


@given(SCORES, IDS, st.lists(st.lists(st.integers(0, V - 1), min_size=1, max_size=3), max_size=6))
def test_a_banned_sequence_is_never_complete(
    scores: np.ndarray, ids: list[int], sequences: list[list[int]]
) -> None:
    kept = [token for token in range(V) if not any([*ids, token][-len(one) :] == one for one in sequences)]
    assert_only_these(banned.process(scores, ids, sequences), scores, kept)


@given(SCORES, st.dictionaries(st.integers(0, V - 1), st.floats(-9, 9)))
def test_a_bias_is_added(scores: np.ndarray, biases: dict[int, float]) -> None:
    expected = [score + biases.get(i, 0.0) for i, score in enumerate(scores)]
    assert logit_bias.process(scores, biases).tolist() == expected


@given(SCORES, st.integers(0, 4), st.integers(0, 4), st.lists(st.integers(0, V - 1), max_size=3))
def test_no_end_token_before_the_minimum_length(
    scores: np.ndarray, n_new: int, least: int, eos_ids: list[int]
) -> None:
    kept = [i for i in range(V) if n_new + 1 > least or i not in eos_ids]
    assert_only_these(min_new_tokens.process(scores, n_new, least, eos_ids), scores, kept)


@given(SCORES, st.floats(0.05, 5))
def test_temperature_is_a_power_of_the_probabilities(scores: np.ndarray, heat: float) -> None:
    powers = [p ** (1 / heat) for p in probabilities(scores)]
    expected = [power / math.fsum(powers) for power in powers]
    np.testing.assert_allclose(
        probabilities(temperature.process(scores, heat)), expected, rtol=1e-9, atol=1e-15
    )


def test_a_tiny_temperature_leaves_the_likeliest_token() -> None:
    found = temperature.process(np.array([1.0, 3.0, -np.inf, 2.9]), 1e-310)
    assert found.tolist() == [-np.inf, 0.0, -np.inf, -np.inf]


@given(SCORES, st.integers(1, V + 2))
@example(np.arange(7.0), 6)
def test_top_k_keeps_the_k_best(scores: np.ndarray, k: int) -> None:
    best = sorted(range(V), key=lambda i: (-scores[i], i))[:k]
    assert_only_these(top_k.process(scores, k), scores, best)


def fewest(order: list[int], scores: np.ndarray, mass: float) -> tuple[list[int], bool]:
    """Return the first ids that reach the mass, and whether rounding decides how many these are."""
    probs, total, kept = probabilities(scores), 0.0, []
    close = False
    for i in order:
        close = close or abs(total - mass) < 1e-12
        if total >= mass:
            break
        kept.append(i)
        total += probs[i]
    return kept, close


@given(SCORES, SHARES)
def test_top_p_keeps_the_fewest_likeliest_that_reach_p(scores: np.ndarray, p: float) -> None:
    kept, close = fewest(sorted(range(V), key=lambda i: (-scores[i], i)), scores, p)
    if not close:
        assert_only_these(top_p.process(scores, p), scores, kept)


@given(SCORES, st.floats(0, 1))
def test_min_p_is_a_fraction_of_the_largest_probability(scores: np.ndarray, p: float) -> None:
    probs = probabilities(scores)
    if any(abs(one - p * max(probs)) < 1e-12 for one in probs if one < max(probs)):
        return  # rounding decides
    assert_only_these(min_p.process(scores, p), scores, [i for i in range(V) if probs[i] >= p * max(probs)])


@given(SCORES, SHARES)
def test_typical_keeps_the_fewest_nearest_to_the_entropy_that_reach_the_mass(
    scores: np.ndarray, mass: float
) -> None:
    probs = probabilities(scores)
    entropy = math.fsum(-p * math.log(p) for p in probs)
    distances = [abs(-math.log(p) - entropy) for p in probs]
    gaps = np.diff(
        sorted({(distance, score) for distance, score in zip(distances, scores, strict=True)}), axis=0
    )
    kept, close = fewest(sorted(range(V), key=lambda i: (distances[i], i)), scores, mass)
    if not close and not (gaps[:, 0] < 1e-9).any():
        assert_only_these(typical.process(scores, mass), scores, kept)


def test_typical_may_leave_out_the_likeliest_token() -> None:
    """Of a coin that is heavy on one side, and many rare words, a rare word is what is to be expected."""
    scores = np.log(np.array([0.3] + [0.7 / 14] * 14))
    assert 0 not in possible(typical.process(scores, 0.5))
    assert 0 in possible(top_p.process(scores, 0.5))


PROCESSORS = {
    "logit_bias": lambda x: logit_bias.process(x, {2: 1.0}),
    "repetition": lambda x: repetition.process(x, [2, 3], 2.0),
    "presence_frequency": lambda x: presence_frequency.process(x, [2, 3], 1.0, 1.0),
    "no_repeat_ngram": lambda x: no_repeat_ngram.process(x, [2, 3], 1),
    "banned": lambda x: banned.process(x, [2, 3], [[1], [3, 4]]),
    "min_new_tokens": lambda x: min_new_tokens.process(x, 0, 1, [2]),
    "temperature": lambda x: temperature.process(x, 0.5),
    "top_k": lambda x: top_k.process(x, 2),
    "top_p": lambda x: top_p.process(x, 0.4),
    "min_p": lambda x: min_p.process(x, 0.5),
    "typical": lambda x: typical.process(x, 0.4),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_no_processor_changes_its_argument_or_revives_a_forbidden_token(name: str) -> None:
    scores = np.array([1.0, 3.0, 2.0, -1.0, 0.5, -np.inf, 2.5])
    before = scores.copy()
    scores.flags.writeable = False
    found = PROCESSORS[name](scores)
    np.testing.assert_array_equal(scores, before)
    assert found[5] == -np.inf
    assert found.tolist() != before.tolist()
    assert len(possible(found)) >= 1


@pytest.mark.parametrize("name", ["repetition", "presence_frequency", "no_repeat_ngram"])
def test_a_prompt_may_hold_ids_that_are_never_generated(name: str) -> None:
    process = {
        "repetition": lambda: repetition.process(np.ones(3), [1, 9], 2.0),
        "presence_frequency": lambda: presence_frequency.process(np.ones(3), [1, 9], 0.5, 0.0),
        "no_repeat_ngram": lambda: no_repeat_ngram.process(np.ones(3), [9, 1], 1),
    }[name]
    found = process()
    assert found[0] == 1.0 and found[2] == 1.0 and found[1] < 1.0


# The pipeline


def processed(scores: np.ndarray, ids: list[int], n_prompt: int = 1, **settings: object) -> np.ndarray:
    eos_ids = settings.pop("eos_ids", ())
    pipeline = Pipeline(GenerationSettings(**settings), V, sg.CharTokenizer("abcdefg"), eos_ids)
    return pipeline.process(scores, Text(ids, n_prompt))


@given(SCORES, st.floats(0.05, 3), st.integers(0, V + 1), st.floats(0, 1, exclude_max=True))
def test_the_plain_case_samples_what_the_backends_sample(
    scores: np.ndarray, heat: float, k: int, uniform: float
) -> None:
    scores = scores.round(6)  # so that none become equal when their maximum is subtracted
    pipeline = Pipeline(GenerationSettings(temperature=heat, top_k=k), V)
    assert pipeline.is_plain
    assert pipeline.sample(scores, Text([0], 1), uniform) == sample(scores, heat, k, uniform)


def test_settings_beyond_temperature_and_top_k_are_not_plain() -> None:
    for settings in (
        {"top_p": 0.9},
        {"min_p": 0.1},
        {"typical_p": 0.5},
        {"banned": ["a"]},
        {"logit_bias": {1: 1}},
    ):
        assert not Pipeline(GenerationSettings(**settings), V, sg.CharTokenizer("abcdefg")).is_plain
    # Greedy generation needs no narrowing, whatever is set; no end token, no least length.
    assert Pipeline(GenerationSettings(temperature=0.0, top_p=0.5), V).is_plain
    assert Pipeline(GenerationSettings(top_p=1.0, min_p=0.0, min_new_tokens=3), V).is_plain
    assert not Pipeline(GenerationSettings(min_new_tokens=3), V, eos_ids=[1]).is_plain


def test_penalties_count_the_right_tokens() -> None:
    """Repetition counts the prompt, too; presence and frequency count what was generated."""
    scores, ids = np.ones(V), [1, 2, 3, 3]
    same = processed(scores, ids, n_prompt=2, temperature=1.0, repetition_penalty=2.0)
    assert (same - same.max()).tolist() == [0, -0.5, -0.5, -0.5, 0, 0, 0]
    counted = processed(
        scores, ids, n_prompt=2, temperature=1.0, presence_penalty=1.0, frequency_penalty=0.25
    )
    assert counted.tolist() == [0, 0, 0, -1.5, 0, 0, 0]


def test_the_order_is_bias_penalties_bans_then_temperature_and_truncations() -> None:
    """Each pair would come out otherwise if the two were exchanged."""
    scores = np.array([2.0, 1.0, 0.0, -1.0, -2.0, -3.0, -4.0])
    # A bias first: 1 + 3 = 4 is halved by the penalty, as 1/2 + 3 is not.
    found = processed(scores, [1], temperature=1.0, logit_bias={1: 3.0}, repetition_penalty=2.0)
    assert found[0] - found[1] == 0.0
    # Repetition before presence: 2/2 - 0.5 = 0.5, not (2 - 0.5)/2 = 0.75; the best is then 1 of token 1.
    found = processed(scores, [6, 0], temperature=1.0, repetition_penalty=2.0, presence_penalty=0.5)
    assert found[0] - found[1] == -0.5
    # The penalty before the temperature: (2/2 - 1) / 0.5, not (2 - 1) / 0.5 and then half a score.
    assert processed(scores, [0], temperature=0.5, repetition_penalty=2.0)[:3].tolist() == [0.0, 0.0, -2.0]
    # A ban before top_k: two of those that are left.
    assert possible(processed(scores, [6], banned=["a"], top_k=2)) == [1, 2]
    # The temperature before top_p: at 0.2 one token has most of the mass.
    assert len(possible(processed(scores, [6], temperature=0.2, top_p=0.9))) == 1
    assert len(possible(processed(scores, [6], temperature=1.0, top_p=0.9))) == 3
    # top_k before top_p: of two tokens the first has 73%, of all 63%.
    assert len(possible(processed(scores, [6], temperature=1.0, top_k=2, top_p=0.7))) == 1
    assert len(possible(processed(scores, [6], temperature=1.0, top_p=0.7))) == 2
    # typical_p comes last, after the tail that would have made surprises expected is gone.
    tail = np.log(np.array([0.3] + [0.7 / 6] * 6))
    assert possible(processed(tail, [6], temperature=1.0, top_k=1, typical_p=0.2)) == [0]


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [
        ({"no_repeat_ngram": 1}, "no_repeat_ngram"),
        ({"banned": list("abcdefg"), "no_repeat_ngram": 9}, "banned"),
        ({"banned": list("abcdef"), "min_new_tokens": 9, "eos_ids": [6]}, "min_new_tokens"),
    ],
)
def test_a_setting_that_forbids_every_token_is_named(settings: dict, culprit: str) -> None:
    ids = [0, 1, 2, 3, 4, 5, 6]
    words = f"generation.{culprit} forbids every token after 4 new tokens"
    with pytest.raises(sg.InputError, match=words):
        processed(np.zeros(V), ids, n_prompt=3, **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"logit_bias": {"ab": 1.0}}, r"logit_bias: 'ab' is 2 tokens, \[0, 1\]; expected the text of one"),
        ({"logit_bias": {"z": 1.0}}, r"generation.logit_bias: .*'z'"),
        ({"logit_bias": {7: 1.0}}, "generation.logit_bias: token id is 7; expected 0 to 6"),
        ({"logit_bias": {-1: 1.0}}, "generation.logit_bias: token id is -1; expected 0 to 6"),
        ({"banned": ["az"]}, r"generation.banned: .*'z'"),
    ],
)
def test_texts_that_are_not_single_tokens_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(sg.InputError, match=words):
        Pipeline(GenerationSettings(**settings), V, sg.CharTokenizer("abcdefg"))
    with pytest.raises(sg.InputError, match=words if 7 in settings.get("logit_bias", {}) else "generation."):
        Pipeline(GenerationSettings(**settings), V)


def test_a_bias_may_be_named_by_text_or_id_and_both_add() -> None:
    found = processed(np.zeros(V), [0], temperature=1.0, logit_bias={"b": 1.0, 1: 0.5, 2: -1})
    assert (found - found[0]).tolist() == [0, 1.5, -1, 0, 0, 0, 0]
