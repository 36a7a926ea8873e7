"""Picking tokens and continuing texts."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import yaml

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.generation import GenerationSettings, generate_batch, generate_tokens
from scratchgpt.generation.beam_search import beam_search
from scratchgpt.generation.loop import Seed, generate_steps
from scratchgpt.generation.pipeline import Pipeline, Text
from scratchgpt.gradcheck.model_cases import awkward_params
from scratchgpt.ops.sampling import sample
from scratchgpt.training import settings as all_settings

MODEL = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16))
PARAMS = awkward_params(MODEL)
SCORES = np.log(np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32))


def frequencies(**settings: object) -> np.ndarray:
    rng = np.random.default_rng(0)
    drawn = [sample(SCORES, uniform=rng.random(), **settings) for _ in range(20_000)]
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
    drawn = {sample(np.zeros(6), 1.0, 2, rng.random()) for _ in range(200)}
    assert len(drawn) == 2


def test_greedy_takes_the_best_and_tiny_temperatures_agree() -> None:
    rng = np.random.default_rng(0)
    assert sample(SCORES, 0.0, None, rng.random()) == 3
    assert {sample(SCORES, 1e-30, None, rng.random()) for _ in range(50)} == {3}


def tokens(
    backend: Backend,
    prompt: list[int],
    n: int = 20,
    *,
    seed: Seed = None,
    tokenizer: sg.CharTokenizer | None = None,
    eos_ids: Sequence[int] = (),
    vocab_size: int = MODEL.config.vocab_size,
    **settings: Any,
) -> list[int]:
    """Return n tokens that continue a prompt; the temperature is 1 unless the settings say otherwise."""
    chosen = GenerationSettings(max_new_tokens=n, **{"temperature": 1.0, **settings})
    pipeline = Pipeline(chosen, vocab_size, tokenizer, eos_ids)
    steps = generate_steps(sg.BoundModel(MODEL, PARAMS, backend), [prompt], pipeline, seed=seed)
    return [step.tokens[0] for step in steps]


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
        ([], {}, "the prompt has no tokens; expected at least 1"),
        ([1] * 9, {}, "the prompt has 9 tokens; expected 1 to block_size = 8, so keep the last 8"),
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
    assert list(lm.stream("abc", max_new_tokens=12, temperature=0.8, top_k=5, seed=1)) == list(text)
    assert lm.generate("abc", max_new_tokens=0) == ""


def test_without_a_prompt_text_starts_after_a_newline() -> None:
    lm = language_model()
    assert lm.generate(max_new_tokens=9, seed=3) == lm.generate("\n", max_new_tokens=9, seed=3)


def test_a_bad_prompt_raises_before_the_first_token() -> None:
    with pytest.raises(sg.InputError, match="'Z'"):
        language_model().stream("Z", max_new_tokens=5)
    with pytest.raises(sg.InputError, match="the prompt has 9 tokens"):
        language_model().stream("abcabcabc", max_new_tokens=5)
    with pytest.raises(sg.InputError, match="the prompt has no tokens"):
        language_model().stream("", max_new_tokens=5)


# Settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_new_tokens": -1}, "generation.max_new_tokens is -1; expected at least 0"),
        ({"min_new_tokens": -1}, "generation.min_new_tokens is -1; expected 0 to max_new_tokens = [23]00"),
        ({"min_new_tokens": 5, "max_new_tokens": 4}, "min_new_tokens is 5; expected 0 to max_new_tokens = 4"),
        ({"temperature": -0.1}, r"generation.temperature is -0.1; expected at least 0 \(0 is greedy\)"),
        ({"top_p": 0.0}, r"generation.top_p is 0.0; expected a number in \(0, 1\], or null"),
        ({"top_p": 1.1}, "generation.top_p is 1.1"),
        ({"min_p": -0.1}, "generation.min_p is -0.1"),
        ({"min_p": 1.1}, r"generation.min_p is 1.1; expected a number in \[0, 1\], or null"),
        ({"typical_p": 0.0}, "generation.typical_p is 0.0"),
        ({"typical_p": 2.0}, "generation.typical_p is 2.0"),
        ({"repetition_penalty": 0.0}, "generation.repetition_penalty is 0.0; expected a positive number"),
        ({"presence_penalty": float("inf")}, "generation.presence_penalty is inf; expected a finite number"),
        ({"no_repeat_ngram": -1}, "generation.no_repeat_ngram is -1; expected at least 0"),
        ({"logit_bias": {"a": "b"}}, "generation.logit_bias is {'a': 'b'}; expected a mapping"),
        ({"logit_bias": {"a": float("nan")}}, "generation.logit_bias is {'a': nan}; expected a mapping"),
        ({"logit_bias": {1.5: 1.0}}, "generation.logit_bias is {1.5: 1.0}; expected a mapping"),
        ({"banned": "a"}, "generation.banned is 'a'; expected a list of texts"),
        ({"banned": [""]}, r"generation.banned is \[''\]; expected a list of texts that are not empty"),
        ({"stop": [3]}, r"generation.stop is \[3\]; expected a list of texts that are not empty"),
        ({"beams": 0}, "generation.beams is 0; expected at least 1"),
        ({"beams": 4, "beam_groups": 3}, "generation.beam_groups is 3; expected a divisor of beams = 4"),
        ({"beam_groups": 2}, "generation.beam_groups is 2; expected a divisor of beams = 1"),
        ({"beams": 4, "beam_groups": 0}, "generation.beam_groups is 0"),
        ({"beams": 4, "beam_groups": 2, "diversity_penalty": -1.0}, "diversity_penalty is -1.0"),
        ({"beams": 4, "beam_groups": 2}, "diversity_penalty is 0.0; expected more than 0, or all 2 groups"),
        ({"beams": 4, "length_penalty": 11}, "length_penalty is 11.0; expected a number from -10 to 10"),
        ({"beams": 4, "diversity_penalty": 1.0}, "diversity_penalty is 1.0; expected 0.0 with one group"),
        ({"length_penalty": 0.5}, "generation.length_penalty is 0.5; expected 1.0 without beams"),
        ({"early_stopping": True}, "generation.early_stopping is True; expected false without beams"),
        (
            {"beams": 4, "temperature": 0.7},
            "temperature is 0.7, but beam search does not sample; leave it out",
        ),
        ({"beams": 4, "top_k": 5}, "generation.top_k is 5, but beam search does not sample; leave it out"),
        ({"beams": 4, "top_p": 0.9}, "generation.top_p is 0.9, but beam search does not sample"),
        ({"beams": 4, "min_p": 0.1}, "generation.min_p is 0.1, but beam search does not sample"),
        ({"beams": 4, "typical_p": 0.9}, "generation.typical_p is 0.9, but beam search does not sample"),
        ({"tempature": 0.9}, "unknown option 'generation.tempature'; did you mean 'generation.temperature'?"),
    ],
)
def test_bad_settings_are_named(settings: dict, words: str) -> None:
    with pytest.raises(sg.InputError, match=words):
        language_model().generate("a", **settings)
    if "tempature" not in settings:
        with pytest.raises(sg.InputError, match=words):
            GenerationSettings(**settings)


def test_beams_accept_temperature_0_1_and_the_default() -> None:
    for heat in (0.0, 1.0, 0.8):
        GenerationSettings(beams=4, beam_groups=2, diversity_penalty=0.5, temperature=heat, top_k=0)


def test_settings_of_a_run_survive_a_file_and_old_ones_load() -> None:
    assert all_settings.GenerationSettings is GenerationSettings
    settings = GenerationSettings(logit_bias={"a": 1.0, 5: -2.0}, stop=["\n"], banned=["b"], top_p=0.9)
    again = yaml.safe_load(yaml.safe_dump(dataclasses.asdict(settings)))
    assert GenerationSettings(**again) == settings
    old = GenerationSettings(**{"prompt": None, "max_new_tokens": 300, "temperature": 0.8, "top_k": None})
    assert old == GenerationSettings()


# Strategies in the loop


def test_a_setting_without_effect_samples_what_the_plain_case_samples(backend: Backend) -> None:
    """The way over the host draws the same numbers from the same streams."""
    for settings in ({"temperature": 0.0}, {"temperature": 0.7}, {"temperature": 0.9, "top_k": 4}):
        plain = tokens(backend, [1, 2], seed=4, **settings)
        assert tokens(backend, [1, 2], seed=4, logit_bias={3: 0.0}, **settings) == plain
        assert tokens(backend, [1, 2], seed=4, no_repeat_ngram=99, **settings) == plain


def test_settings_take_effect_in_the_loop(backend: Backend) -> None:
    assert 4 not in tokens(backend, [1], n=60, seed=0, logit_bias={4: -1e9})
    assert set(tokens(backend, [1], n=9, seed=0, logit_bias={4: 1e9})) == {4}
    text = [1, 2, *tokens(backend, [1, 2], n=40, seed=0, no_repeat_ngram=2)]
    pairs = list(itertools.pairwise(text))
    assert len(set(pairs)) == len(pairs)
    greedy = tokens(backend, [1, 2], temperature=0.0)
    assert tokens(backend, [1, 2], temperature=3.0, top_p=1e-9, seed=0) == greedy
    assert tokens(backend, [1, 2], temperature=3.0, min_p=1.0, seed=0) == greedy
    assert len(set(tokens(backend, [1], n=10, temperature=0.0, presence_penalty=100.0))) == 10
    assert len(set(tokens(backend, [1], n=10, temperature=0.0, repetition_penalty=100.0))) > 4
    banned = {"banned": ["b", "cd"], "tokenizer": sg.CharTokenizer("\nabcdefghij")}
    found = "".join("\nabcdefghij"[i] for i in tokens(backend, [1], n=300, seed=1, temperature=1.5, **banned))
    assert "b" not in found and "cd" not in found and "c" in found and "d" in found


def test_a_batch_with_settings_equals_its_prompts_alone(backend: Backend) -> None:
    prompts = [[1], [4, 4, 9], [0, 2]]
    bound = sg.BoundModel(MODEL, PARAMS, backend)
    settings = {"temperature": 0.9, "top_p": 0.9, "frequency_penalty": 0.3}
    settings |= {"repetition_penalty": 1.2}
    for seeds in ([20, 21, 22], [7, 7, 0]):
        together = list(generate_batch(bound, prompts, max_new_tokens=15, seed=seeds, **settings))
        for i, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            alone = list(generate_tokens(bound, prompt, max_new_tokens=15, seed=seed, **settings))
            assert [step[i] for step in together] == alone
    by_number = list(generate_batch(bound, prompts, max_new_tokens=15, seed=20, **settings))
    assert by_number == list(generate_batch(bound, prompts, max_new_tokens=15, seed=[20, 21, 22], **settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seed": [1, 2]}, "seed has 2 numbers; expected one for each of 1 texts"),
        ({"seed": [-1]}, "seed is -1; expected a whole number of at least 0"),
        ({"seed": ["x"]}, "seed is 'x'; expected a whole number"),
        ({"seed": -1}, "seed is -1; expected a whole number of at least 0"),
        (
            {"banned": ["a"]},
            "generation.banned has the text 'a' but no tokenizer; use LanguageModel.generate",
        ),
        ({"no_repeat_ngram": 1, "n": 30}, "generation.no_repeat_ngram forbids every token after 10 new"),
    ],
)
def test_bad_settings_for_token_ids_are_named(settings: dict, words: str) -> None:
    with pytest.raises(sg.InputError, match=words):
        tokens(sg.get_backend(), [1], **settings)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("prompt", "prompt is a text, but prompts are token ids here; use LanguageModel.generate"),
        ("stop", "stop is compared with text, so it needs a tokenizer; use LanguageModel.generate"),
        ("beams", "beams cannot be generated token by token.*use LanguageModel.generate, or beam_search"),
    ],
)
def test_settings_that_token_ids_alone_cannot_serve_are_refused(name: str, words: str) -> None:
    with pytest.raises(sg.InputError, match=words):
        generate_batch(sg.BoundModel(MODEL, PARAMS, sg.get_backend()), [[1]], **{name: 1})


# Language models


def ending_model() -> sg.LanguageModel:
    """A model that ends its texts at 'j'."""
    return dataclasses.replace(language_model(), eos_token_ids=(10,))


def test_min_new_tokens_delays_the_end() -> None:
    lm = ending_model()
    always = {"j": 1e9}
    assert lm.generate("abc", max_new_tokens=60, seed=0, logit_bias=always) == ""
    assert len(lm.generate("abc", max_new_tokens=60, seed=0, logit_bias=always, min_new_tokens=8)) == 8


def test_a_finished_text_neither_stops_others_nor_fails() -> None:
    """no_repeat_ngram=1 would leave nothing for a text that went on after its end."""
    lm = ending_model()
    settings = {"no_repeat_ngram": 1, "temperature": 2.0}
    alone = []
    for seed in range(60):
        try:
            alone.append((seed, lm.generate("a", max_new_tokens=30, seed=seed, **settings)))
        except sg.InputError:  # the end came too late: nothing else was left
            continue
    seeds, texts = zip(*alone, strict=True)
    assert len({len(text) for text in texts}) > 3
    assert lm.generate_batch(["a"] * len(seeds), max_new_tokens=30, seed=seeds, **settings) == list(texts)


def test_samples_of_one_prompt_are_adjacent() -> None:
    lm = ending_model()
    found = lm.generate_batch(["abc", "d"], max_new_tokens=12, seed=5, num_samples=2)
    assert found == [
        lm.generate(p, max_new_tokens=12, seed=5 + i) for i, p in enumerate(["abc", "abc", "d", "d"])
    ]
    with pytest.raises(sg.InputError, match="num_samples is 0; expected a whole number of at least 1"):
        lm.generate_batch(["abc"], num_samples=0)
    with pytest.raises(sg.InputError, match="generate_batch takes `prompts`; leave out `prompt`"):
        lm.generate_batch(["abc"], prompt="d")


def test_stream_tokens_reports_the_models_own_probabilities() -> None:
    lm = language_model()
    settings = {"seed": 2, "temperature": 1.7, "repetition_penalty": 1.5}
    stream = lm.stream_tokens("abc", max_new_tokens=12, n_alternatives=3, **settings)
    assert stream.finish_reason is None
    found = list(stream)
    assert stream.finish_reason == "length"
    assert "".join(token.text for token in found) == lm.generate("abc", max_new_tokens=12, **settings)
    text = lm.tokenizer.encode("abc").tolist()
    for token in found:  # the model's own distribution, whatever the settings
        logits = sg.logits(MODEL, PARAMS, np.array([text[-8:]]), backend=lm.backend)[0, -1].astype(np.float64)
        logprobs = logits - np.log(np.exp(logits).sum())
        assert token.logprob == pytest.approx(logprobs[token.id], abs=1e-5)
        best = logprobs.argsort()[::-1][:3]
        assert [name for name, _ in token.alternatives] == ["\nabcdefghij"[i] for i in best]
        np.testing.assert_allclose([lp for _, lp in token.alternatives], logprobs[best], atol=1e-5)
        text.append(token.id)
    assert next(lm.stream_tokens("abc", max_new_tokens=5, **settings)).alternatives == []


def test_stream_tokens_ends_as_generate_does() -> None:
    lm = ending_model()
    seen = set()
    for seed in range(30):
        stop = ["ab", "ha"]
        stream = lm.stream_tokens("abc", max_new_tokens=15, temperature=1.0, seed=seed, stop=stop)
        found = list(stream)
        text = lm.generate("abc", max_new_tokens=15, temperature=1.0, seed=seed, stop=stop)
        assert [token.text for token in found] == list(text)
        assert [token.id for token in found] == lm.tokenizer.encode(text).tolist()
        seen.add(stream.finish_reason)
        assert list(stream) == []
    assert seen == {"length", "end", "stop"}
    stream = lm.stream_tokens("abc", max_new_tokens=0)
    assert list(stream) == [] and stream.finish_reason == "length"
    with pytest.raises(sg.InputError, match="beams is 2; a beam search has no token-by-token output"):
        lm.stream_tokens("abc", max_new_tokens=5, beams=2)
    with pytest.raises(sg.InputError, match="n_alternatives is -1; expected a whole number of at least 0"):
        lm.stream_tokens("abc", max_new_tokens=5, n_alternatives=-1)


def test_all_settings_of_a_run_can_be_given_at_once() -> None:
    """As train.py and sample.py do."""
    lm, how = language_model(), GenerationSettings(prompt="abc", max_new_tokens=9, stop=["\n"])
    expected = lm.generate("abc", max_new_tokens=9, temperature=0.8, seed=3, stop=["\n"])
    assert lm.generate(**dataclasses.asdict(how), seed=3) == expected
    assert "".join(lm.stream(**dataclasses.asdict(how), seed=3)) == expected
    assert lm.generate(**dataclasses.asdict(how) | {"max_new_tokens": 4}, seed=3) == expected[:4]


def test_a_finished_text_costs_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, widths = ending_model(), []
    settings = {"max_new_tokens": 20, "temperature": 1.0, "logit_bias": {"j": 2.0}}
    lengths = [len(lm.generate("abc", seed=seed, **settings)) for seed in range(8)]
    assert len(set(lengths)) > 2
    next_logits = MODEL.next_logits

    def counted(ctx: object, tokens: np.ndarray, places: object) -> np.ndarray:
        widths.append(len(tokens))
        return next_logits(ctx, tokens, places)

    monkeypatch.setattr(MODEL, "next_logits", counted)
    lm.generate_batch(["abc"] * 8, seed=0, **settings)
    # A prompt is a pass of its own; step n is one for all texts that go on after n tokens, "j" included.
    steps = [sum(length >= n for length in lengths) for n in range(1, 20)]
    assert widths == [1] * 8 + [n for n in steps if n]


def test_generate_with_beams_is_beam_search_with_the_pipelines_penalties() -> None:
    lm = ending_model()
    settings = {"length_penalty": 0.7, "no_repeat_ngram": 2, "logit_bias": {"j": 1.0}}
    pipeline = Pipeline(GenerationSettings(beams=3, **settings), 11, lm.tokenizer, (10,))
    found = beam_search(
        lm.bound,
        [1, 2],
        GenerationSettings(beams=3, max_new_tokens=9, length_penalty=0.7),
        eos_ids=(10,),
        process=lambda scores, ids: pipeline.penalize(scores, Text(ids, 2)),
    )
    texts = [lm.tokenizer.decode(one.tokens).removesuffix("j") for one in found]
    assert lm.generate_batch(["ab", "c"], max_new_tokens=9, num_samples=3, beams=3, **settings)[:3] == texts
    assert list(lm.stream("ab", max_new_tokens=9, beams=3, seed=1, **settings)) == texts[:1]
    cut = texts[0][3:5]
    assert (
        lm.generate("ab", max_new_tokens=9, beams=3, stop=[cut], **settings)
        == texts[0][: texts[0].index(cut)]
    )
    # Nothing is computed before the text is asked for, but a bad request is known at once.
    for prompt, bad, words in (("", {}, "the prompt has no tokens"), ("a", {"banned": ["Z"]}, "'Z'")):
        with pytest.raises(sg.InputError, match=words):
            lm.stream(prompt, max_new_tokens=9, beams=3, **bad)
    with pytest.raises(sg.InputError, match="num_samples is 4; expected at most beams = 3"):
        lm.generate_batch(["a"], max_new_tokens=9, beams=3, num_samples=4)
