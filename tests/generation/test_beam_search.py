"""Beam search against every text there is, against its definition written slowly, and by hand."""

import math
from collections.abc import Sequence
from itertools import chain, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.generation import GenerationSettings, generate_tokens
from scratchgpt.generation.beam_search import Hypothesis, Process, beam_search
from scratchgpt.gradcheck.model_cases import CONFIGS, awkward_params
from scratchgpt.nn.context import Context
from scratchgpt.nn.kv_cache import CacheSlots
from scratchgpt.shapes import Array
from tests.support import gpu

MODEL = sg.GPT(CONFIGS["tied"])
V, BLOCK = MODEL.config.vocab_size, MODEL.config.block_size
PARAMS = awkward_params(MODEL)
END = 3
penalties = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])


def log_probs(text: Sequence[int], vocab_size: int = V) -> Array:
    """Return the log-probabilities of what follows a text, from a pass without a cache."""
    logits = sg.logits(MODEL, PARAMS, np.array([text[-BLOCK:]]))[0, -1, :vocab_size]
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def log_prob(prompt: Sequence[int], tokens: Sequence[int], vocab_size: int = V) -> float:
    text = [*prompt, *tokens]
    return sum(log_probs(text[:i], vocab_size)[text[i]] for i in range(len(prompt), len(text)))


def search(
    prompt: Sequence[int],
    beams: int,
    n: int,
    *,
    params: sg.ParamVector = PARAMS,
    backend: Backend | None = None,
    eos_ids: Sequence[int] = (),
    process: Process | None = None,
    vocab_size: int | None = None,
    **options: Any,
) -> list[Hypothesis]:
    """Search with n new tokens; `options` are fields of GenerationSettings."""
    bound = sg.BoundModel(MODEL, params, backend or sg.get_backend("reference"))
    chosen = GenerationSettings(beams=beams, max_new_tokens=n, **options)
    return beam_search(bound, prompt, chosen, eos_ids=eos_ids, process=process, vocab_size=vocab_size)


def allowed(beams: int, groups: int, diversity: float, length_penalty: float, early: bool | str) -> Any:
    """Return these options without those that have no effect, which GenerationSettings refuses."""
    options: dict[str, Any] = {} if groups == 1 else {"diversity_penalty": diversity}
    if beams > 1:
        options |= {"length_penalty": length_penalty, "early_stopping": early}
    return {"beam_groups": groups, **options}


def assert_same(found: list[Hypothesis], expected: list[Hypothesis], tolerance: float = 1e-10) -> None:
    assert [each.tokens for each in found] == [each.tokens for each in expected]
    np.testing.assert_allclose(
        [each.score for each in found], [each.score for each in expected], 0, tolerance
    )


# The whole truth: all texts, and the search written slowly


@settings(max_examples=15)
@given(st.integers(0, V - 1), penalties, st.sampled_from([(), (1,), (0, 2)]))
def test_with_enough_beams_it_finds_every_text_best_first(
    token: int, length_penalty: float, ends: tuple[int, ...]
) -> None:
    """Three symbols and three steps: 27 texts, or fewer that end."""
    texts = set()
    for text in product(range(3), repeat=3):
        n_new = next((i + 1 for i, each in enumerate(text) if each in ends), 3)
        texts.add(text[:n_new])
    scored = [Hypothesis(text, log_prob([token], text, 3) / len(text) ** length_penalty) for text in texts]
    expected = sorted(scored, key=lambda each: -each.score)
    found = search([token], 27, 3, length_penalty=length_penalty, eos_ids=ends, vocab_size=3)
    assert_same(found, expected)


def slow_search(
    prompt: list[int], beams: int, n: int, n_groups: int, diversity: float, penalty: float, early: bool | str
) -> list[Hypothesis]:
    """Do what the definition says: no cache, no array of scores, every continuation sorted."""
    size = beams // n_groups
    running: list[list[tuple[tuple[int, ...], float]]] = [[((), 0.0)] for _ in range(n_groups)]
    finished: list[list[Hypothesis]] = [[] for _ in range(n_groups)]
    for length in range(1, n + 1):
        taken: list[int] = []
        for group in range(n_groups):
            everything = []
            for text, total in running[group]:
                for token, more in enumerate(log_probs([*prompt, *text])):
                    rank = total + more - diversity * taken.count(token)
                    everything.append((rank, (*text, token), total + more))
            everything.sort(reverse=True)
            follow, end = [], []
            for place, (_, text, total) in enumerate(everything):
                if text[-1] != END and length < n:
                    follow.append((text, total))
                elif place < size:
                    end.append(Hypothesis(text, total / length**penalty))
            running[group] = follow[:size]
            taken += [text[-1] for text, _ in running[group]] + [each.tokens[-1] for each in end]
            finished[group] = sorted(finished[group] + end, key=lambda each: -each.score)[:size]
            if len(finished[group]) == size and running[group]:
                best = max(total for _, total in running[group])
                now, at_last = best / length**penalty, best / n**penalty
                hope = {"False": now, "True": -math.inf, "never": max(now, at_last)}[str(early)]
                if hope <= finished[group][-1].score:
                    running[group] = []
    return sorted(chain(*finished), key=lambda each: -each.score)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, V - 1), min_size=1, max_size=BLOCK),
    st.sampled_from([(1, 1), (3, 1), (4, 1), (2, 2), (4, 2), (6, 3)]),
    st.integers(1, 9),  # with the prompt up to 17 tokens: the block of 8 slides
    st.sampled_from([0.3, 1.0, 5.0]),
    penalties,
    st.sampled_from([False, True, "never"]),
)
def test_it_equals_the_slow_definition(
    prompt: list[int],
    beams: tuple[int, int],
    n: int,
    diversity: float,
    length_penalty: float,
    early: bool | str,
) -> None:
    if beams[0] == 1:
        length_penalty, early = 1.0, False
    options = allowed(*beams, diversity, length_penalty, early)
    found = search(prompt, beams[0], n, eos_ids=(END,), **options)
    assert_same(found, slow_search(prompt, *beams[:1], n, beams[1], diversity, length_penalty, early))


# The model and its cache


@pytest.mark.parametrize("n", [3, 20])  # 20 tokens outgrow the block
def test_one_beam_is_greedy(backend: Backend, n: int) -> None:
    for first in range(V):
        (found,) = search([first, 2], 1, n, backend=backend)
        greedy = list(
            generate_tokens(
                sg.BoundModel(MODEL, PARAMS, backend), [first, 2], max_new_tokens=n, temperature=0.0
            )
        )
        assert list(found.tokens) == greedy
        (until_end,) = search([first, 2], 1, n, backend=backend, eos_ids=[END])
        n_until_end = greedy.index(END) + 1 if END in greedy else n
        assert list(until_end.tokens) == greedy[:n_until_end]


@pytest.mark.parametrize(("beams", "groups"), [(4, 1), (6, 3)])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7])
def test_scores_are_the_models_own(backend: Backend, beams: int, groups: int, length_penalty: float) -> None:
    options = allowed(beams, groups, 0.4, length_penalty, early=False)
    for prompt in ([1, 2], [5] * BLOCK):
        found = search(prompt, beams, 12, backend=backend, eos_ids=[END, 7], **options)
        assert len(found) == beams
        assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
        for tokens, score in found:
            assert score == pytest.approx(log_prob(prompt, tokens) / len(tokens) ** length_penalty, abs=1e-10)
            assert not {END, 7} & set(tokens[:-1])
            assert len(tokens) == 12 or tokens[-1] in {END, 7}


def test_a_text_is_found_once() -> None:
    found = search([1, 2], 20, 8, eos_ids=[END])
    assert len({each.tokens for each in found}) == 20


def test_only_ids_of_the_tokenizer_are_searched() -> None:
    for tokens, score in search([9], 5, 6, vocab_size=4):
        assert max(tokens) < 4
        assert score == pytest.approx(log_prob([9], tokens, 4) / 6, abs=1e-10)


def test_one_prefill_and_then_one_row_per_running_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    next_logits = MODEL.next_logits

    def counted(ctx: Context, tokens: np.ndarray, places: CacheSlots) -> np.ndarray:
        shapes.append(tokens.shape)
        return next_logits(ctx, tokens, places)

    monkeypatch.setattr(MODEL, "next_logits", counted)
    search([1, 2, 3, 4], 5, 4)
    assert shapes == [(1, 4), (5, 1), (5, 1), (5, 1)]

    shapes.clear()
    script = {(0,): [0.6, 0.3, 0.1], (0, 0): [0.5, 0.5, 0.0], (0, 1): [0.0, 0.0, 1.0]}
    search([0], 3, 3, process=scripted(script), eos_ids=[2], vocab_size=3)
    assert shapes == [(1, 1), (2, 1), (2, 1)]  # 0 and 1; then 00 and 01, while 12 has ended

    shapes.clear()
    search([1, 2], 4, 3, beam_groups=2, diversity_penalty=0.1)
    assert shapes == [(1, 2), (4, 1), (4, 1)]


def test_cupy_finds_what_numpy_finds() -> None:
    """Branches, ends and a block that is outgrown, on a real or an emulated GPU."""
    params = PARAMS.map(lambda flat: flat.astype(np.float32))
    for groups in (1, 2):
        options = allowed(4, groups, 0.5, 1.0, early=False)
        found, expected = (
            search([1, 2, 3], 4, 9, params=params, backend=backend, eos_ids=[END], **options)
            for backend in (gpu.backend(), sg.get_backend("numpy"))
        )
        assert_same(found, expected, tolerance=1e-4)


def test_cupy_in_16_bits_scores_as_the_full_pass_does() -> None:
    backend, params = gpu.backend("bf16"), PARAMS.map(lambda flat: (0.3 * flat).astype(np.float32))
    found = search([1, 2, 3], 3, 4, params=params, backend=backend, length_penalty=0.0)
    for tokens, score in found:
        text = np.array([[1, 2, 3, *tokens]])
        loss = sg.loss(MODEL, params, text[:, :-1], np.where(np.arange(1, 7) < 3, -100, text[:, 1:]))
        assert score == pytest.approx(-4.0 * loss, abs=0.1)


# By hand: the probabilities of a script instead of the model's


def scripted(script: dict[tuple[int, ...], list[float]], otherwise: Sequence[float] = ()) -> Process:
    """Return a process that gives the probabilities of a script, by the text so far."""

    def process(scores: Array, ids: Sequence[int]) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(script.get(tuple(ids), otherwise or [1 / len(scores)] * len(scores)))

    return process


GARDEN_PATH = scripted({(0,): [0.6, 0.4, 0.0], (0, 0): [0.4, 0.3, 0.3], (0, 1): [0.9, 0.1, 0.0]})


def test_the_likeliest_text_need_not_begin_with_the_likeliest_token() -> None:
    (greedy,) = search([0], 1, 2, process=GARDEN_PATH, vocab_size=3)
    first, second = search([0], 2, 2, process=GARDEN_PATH, vocab_size=3, length_penalty=0.0)
    assert_same([greedy], [Hypothesis((0, 0), math.log(0.24) / 2)])
    assert_same([first, second], [Hypothesis((1, 0), math.log(0.36)), Hypothesis((0, 0), math.log(0.24))])


# Token 2 ends. After 0 the end has 0.4; else 0 follows, and then the end is all but sure.
TWO_ENDS = scripted({(0,): [0.6, 0.0, 0.4], (0, 0): [0.1, 0.0, 0.9]})


def test_length_penalty_prefers_long_texts_or_short_ones() -> None:
    options: dict[str, Any] = {"process": TWO_ENDS, "eos_ids": [2], "vocab_size": 3}
    short, long = math.log(0.4), math.log(0.6 * 0.9)
    for length_penalty in (-1.0, 0.0, 1.0):
        expected = [Hypothesis((2,), short), Hypothesis((0, 2), long / 2**length_penalty)]
        expected.sort(key=lambda each: -each.score)
        found = search([0], 2, 4, length_penalty=length_penalty, **options)
        assert_same(found[:2], expected)
    assert search([0], 2, 4, length_penalty=-1.0, **options)[0].tokens == (2,)
    assert search([0], 2, 4, length_penalty=1.0, **options)[0].tokens == (0, 2)


@pytest.mark.parametrize(
    ("early_stopping", "expected"),
    [(True, [(2,), (3,)]), (False, [(2,), (3,)]), ("never", [(0, 0, 0, 0, 0), (2,)])],
)
def test_never_stopping_early_finds_what_becomes_better_later(
    early_stopping: bool | str, expected: list[tuple[int, ...]]
) -> None:
    """Tokens 2 and 3 end, with 0.4 and 0.31. After 0, with 0.29, nothing is uncertain any more."""
    late = scripted({(0,): [0.29, 0.0, 0.4, 0.31]}, otherwise=[1.0, 0.0, 0.0, 0.0])
    found = search([0], 2, 5, early_stopping=early_stopping, process=late, eos_ids=[2, 3], vocab_size=4)
    assert [each.tokens for each in found] == expected


def test_stopping_early_takes_the_first_texts_that_end() -> None:
    """When 2 and 02 have ended, 00 is better than the worse of them: log(0.2) / 2 > log(0.4) / 1."""
    script = {(0,): [0.5, 0.1, 0.4], (0, 0): [0.4, 0.0, 0.6], (0, 0, 0): [0.0, 0.0, 1.0]}
    options: dict[str, Any] = {"process": scripted(script), "eos_ids": [2], "vocab_size": 3}
    stopped = search([0], 2, 6, early_stopping=True, **options)
    assert_same(stopped, [Hypothesis((0, 2), math.log(0.3) / 2), Hypothesis((2,), math.log(0.4))])
    waited = search([0], 2, 6, early_stopping=False, **options)
    assert_same(waited, [Hypothesis((0, 0, 2), math.log(0.2) / 3), Hypothesis((0, 2), math.log(0.3) / 2)])


def test_an_end_beyond_the_best_does_not_count() -> None:
    """Of two beams 0 and 1 are better than the end 2, so that the text that is only an end is none."""
    script = scripted({(0,): [0.5, 0.3, 0.2]}, otherwise=[0.5, 0.5, 0.0])
    found = search([0], 2, 2, process=script, eos_ids=[2], vocab_size=3)
    assert all(len(each.tokens) == 2 for each in found)


def test_process_sees_the_whole_text_and_can_forbid_tokens() -> None:
    seen = []

    def no_repeats(scores: Array, ids: Sequence[int]) -> Array:
        seen.append(tuple(ids))
        return np.where(np.isin(np.arange(len(scores)), ids), -np.inf, scores)

    found = search([4, 5], 3, 6, process=no_repeats)
    assert len(found) == 3
    for tokens, score in found:
        assert len({4, 5, *tokens}) == 8
        assert score == pytest.approx(log_prob([4, 5], tokens) / 6, abs=1e-10)
    assert seen[0] == (4, 5)
    assert {len(ids) for ids in seen} == {2, 3, 4, 5, 6, 7}


def test_a_dead_beam_is_dropped_and_an_impossible_search_raises() -> None:
    script = scripted({(0,): [0.9, 0.1, 0.0], (0, 0): [0.0, 0.0, 0.0]}, otherwise=[0.5, 0.5, 0.0])
    found = search([0], 2, 3, process=script, vocab_size=3)
    assert len(found) == 2
    assert all(each.tokens[0] == 1 for each in found)
    dead = scripted({}, otherwise=[0.0, 0.0, 0.0])
    with pytest.raises(sg.InputError, match="no token is allowed at step 1"):
        search([0], 2, 3, process=dead, vocab_size=3)


def test_a_larger_penalty_drives_groups_apart() -> None:
    def n_first_tokens(penalty: float) -> int:
        found = search([1], 4, 5, beam_groups=4, diversity_penalty=penalty)
        return len({each.tokens[0] for each in found})

    assert n_first_tokens(1e-9) == 1
    assert n_first_tokens(1e9) == 4
    found = search([1], 4, 5, beam_groups=4, diversity_penalty=1e9)
    assert search([1], 1, 5)[0].tokens in [each.tokens for each in found]  # the first group is greedy


def test_zero_new_tokens_give_the_empty_text() -> None:
    assert search([1], 3, 0) == [Hypothesis((), 0.0)]


def test_scores_that_are_not_finite_raise() -> None:
    broken = PARAMS.copy()
    broken["wte.weight"][0, 0] = np.nan
    with pytest.raises(sg.InputError, match="not finite"), np.errstate(invalid="ignore"):
        search([1], 2, 2, params=broken, backend=sg.get_backend())


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ([], {}, "the prompt has no tokens; expected at least 1"),
        ([1] * 9, {}, "the prompt has 9 tokens; expected 1 to block_size = 8"),
        ([99], {}, r"token at \[0, 0\] is 99"),
        ([1], {"beams": 0}, "beams is 0; expected at least 1"),
        ([1], {"n": -1}, "max_new_tokens is -1; expected at least 0"),
        ([1], {"beam_groups": 3}, "beam_groups is 3; expected a divisor of beams = 4"),
        ([1], {"beam_groups": 0}, "beam_groups is 0; expected a divisor of beams = 4"),
        ([1], {"beam_groups": 2}, "diversity_penalty is 0.0; expected more than 0, or all 2 groups"),
        ([1], {"diversity_penalty": -1.0}, "diversity_penalty is -1.0; expected at least 0"),
        ([1], {"diversity_penalty": math.nan}, "diversity_penalty is nan"),
        ([1], {"length_penalty": math.nan}, "length_penalty is nan; expected a finite number"),
        ([1], {"length_penalty": 1000.0}, "length_penalty is 1000.0"),
        ([1], {"early_stopping": "soon"}, "early_stopping is 'soon'; expected true or false or never"),
    ],
)
def test_bad_requests_are_named(prompt: list[int], options: dict[str, Any], words: str) -> None:
    with pytest.raises(sg.InputError, match=words):
        search(prompt, **{"beams": 4, "n": 3, **options})
