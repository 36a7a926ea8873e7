"""Picking tokens and continuing texts."""

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.generation import generate_tokens
from scratchgpt.gradcheck.model_cases import awkward_params
from scratchgpt.ops.sampling import pick

MODEL = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16))
PARAMS = awkward_params(MODEL)
SCORES = np.log(np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32))


def frequencies(**settings: object) -> np.ndarray:
    rng = np.random.default_rng(0)
    drawn = [pick(SCORES, uniform=rng.random(), **settings) for _ in range(20_000)]
    return np.bincount(drawn, minlength=4) / len(drawn)


def test_temperature_1_samples_the_models_distribution() -> None:
    np.testing.assert_allclose(frequencies(temperature=1.0, top_k=None), [0.1, 0.2, 0.3, 0.4], atol=0.015)


def test_temperature_sharpens_the_logits_not_the_probabilities() -> None:
    squared = np.array([0.1, 0.2, 0.3, 0.4]) ** 2
    np.testing.assert_allclose(frequencies(temperature=0.5, top_k=None), squared / squared.sum(), atol=0.015)


def test_top_k_keeps_the_k_best_and_their_proportions() -> None:
    np.testing.assert_allclose(frequencies(temperature=1.0, top_k=2), [0, 0, 3 / 7, 4 / 7], atol=0.015)
    np.testing.assert_allclose(frequencies(temperature=1.0, top_k=0), [0.1, 0.2, 0.3, 0.4], atol=0.015)
    np.testing.assert_allclose(frequencies(temperature=1.0, top_k=99), [0.1, 0.2, 0.3, 0.4], atol=0.015)


def test_top_k_keeps_exactly_k_of_equal_scores() -> None:
    rng = np.random.default_rng(0)
    drawn = {pick(np.zeros(6), 1.0, 2, rng.random()) for _ in range(200)}
    assert len(drawn) == 2


def test_greedy_takes_the_best_and_tiny_temperatures_agree() -> None:
    rng = np.random.default_rng(0)
    assert pick(SCORES, 0.0, None, rng.random()) == 3
    assert {pick(SCORES, 1e-30, None, rng.random()) for _ in range(50)} == {3}


def tokens(backend: Backend, prompt: list[int], n: int = 20, **settings: object) -> list[int]:
    return list(generate_tokens(MODEL, PARAMS, prompt, n, backend=backend, **settings))


def test_greedy_generation_is_argmax_of_the_logits_step_by_step(backend: Backend) -> None:
    found = tokens(backend, [1, 2], temperature=0.0)
    text = [1, 2]
    for token in found:  # 20 tokens outgrow the block of 8: the window slides
        logits = sg.logits(MODEL, PARAMS, np.array([text[-8:]]), backend=backend)
        assert token == logits[0, -1].argmax()
        text.append(token)


def test_a_seed_repeats_and_seeds_differ(backend: Backend) -> None:
    assert tokens(backend, [1], seed=5) == tokens(backend, [1], seed=5)
    assert tokens(backend, [1], seed=5) != tokens(backend, [1], seed=6)
    assert tokens(backend, [1]) != tokens(backend, [1])


def test_only_ids_of_the_tokenizer_are_generated(backend: Backend) -> None:
    assert max(tokens(backend, [1], n=200, temperature=2.0, seed=0, vocab_size=3)) == 2


@pytest.mark.parametrize(
    ("prompt", "settings", "words"),
    [
        ([], {}, "the prompt has 0 tokens; expected 1 to block_size = 8"),
        ([1] * 9, {}, "the prompt has 9 tokens; expected 1 to block_size = 8"),
        ([1], {"temperature": -0.5}, "temperature is -0.5"),
        ([1], {"temperature": float("nan")}, "temperature is nan"),
        ([1], {"top_k": -1}, "top_k is -1"),
        ([1], {"n": -1}, "max_new_tokens is -1"),
        ([99], {}, r"token at \[0, 0\] is 99"),
    ],
)
def test_bad_requests_are_named(prompt: list[int], settings: dict, words: str) -> None:
    with pytest.raises(sg.InputError, match=words):
        tokens(sg.get_backend(), prompt, **settings)


def language_model() -> sg.LanguageModel:
    return sg.LanguageModel(MODEL, PARAMS, sg.CharTokenizer("\nabcdefghij"), sg.get_backend())


def test_generate_returns_the_continuation_and_stream_its_pieces() -> None:
    lm = language_model()
    text = lm.generate("abc", max_new_tokens=12, temperature=0.8, top_k=5, seed=1)
    assert len(text) == 12
    assert list(lm.stream("abc", 12, 0.8, 5, 1)) == list(text)
    assert lm.generate("abc", max_new_tokens=0) == ""


def test_without_a_prompt_text_starts_after_a_line_end() -> None:
    lm = language_model()
    assert lm.generate(max_new_tokens=9, seed=3) == lm.generate("\n", max_new_tokens=9, seed=3)


def test_a_bad_prompt_raises_before_the_first_token() -> None:
    with pytest.raises(sg.InputError, match="'Z'"):
        language_model().stream("Z", 5)
    with pytest.raises(sg.InputError, match="the prompt has 9 tokens"):
        language_model().stream("abcabcabc", 5)
    with pytest.raises(sg.InputError, match="the prompt has 0 tokens"):
        language_model().stream("", 5)
