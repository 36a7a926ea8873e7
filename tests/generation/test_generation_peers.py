"""Against transformers: every processor of scores, and all of them in their order, in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
theirs = pytest.importorskip("transformers", reason="pip install -e '.[peers]'")

import scratchgpt as sg  # noqa: E402
from scratchgpt.generation import GenerationSettings  # noqa: E402
from scratchgpt.generation.pipeline import Pipeline, Text  # noqa: E402
from scratchgpt.generation.processors import (  # noqa: E402
    banned,
    logit_bias,
    min_new_tokens,
    min_p,
    no_repeat_ngram,
    repetition,
    temperature,
    top_k,
    top_p,
    typical,
)

pytestmark = pytest.mark.peers

V, N = 26, 12  # words, and tokens of a text
ALPHABET = sg.CharTokenizer("abcdefghijklmnopqrstuvwxyz")
EOS = [3, 20]
SEQUENCES = [[4], [1, 5], [0, 2, 7], [2, 2]]
BIASES = {1: 2.5, 7: -1.25, 25: 0.5}

Process = Callable[[np.ndarray, list[int]], np.ndarray]
PAIRS: dict[str, tuple[Process, Callable[[], Any]]] = {
    "logit_bias": (
        lambda x, ids: logit_bias.process(x, BIASES),
        lambda: theirs.SequenceBiasLogitsProcessor([[[i], bias] for i, bias in BIASES.items()]),
    ),
    "repetition": (
        lambda x, ids: repetition.process(x, ids, 1.3),
        lambda: theirs.RepetitionPenaltyLogitsProcessor(1.3),
    ),
    "no_repeat_ngram 1": (
        lambda x, ids: no_repeat_ngram.process(x, ids, 1),
        lambda: theirs.NoRepeatNGramLogitsProcessor(1),
    ),
    "no_repeat_ngram 2": (
        lambda x, ids: no_repeat_ngram.process(x, ids, 2),
        lambda: theirs.NoRepeatNGramLogitsProcessor(2),
    ),
    "banned": (
        lambda x, ids: banned.process(x, ids, SEQUENCES),
        lambda: theirs.NoBadWordsLogitsProcessor(SEQUENCES),
    ),
    "min_new_tokens 8": (
        lambda x, ids: min_new_tokens.process(x, len(ids) - 5, 8, EOS),
        lambda: theirs.MinNewTokensLengthLogitsProcessor(5, 8, EOS),
    ),
    "min_new_tokens 7": (
        lambda x, ids: min_new_tokens.process(x, len(ids) - 5, 7, EOS),
        lambda: theirs.MinNewTokensLengthLogitsProcessor(5, 7, EOS),
    ),
    "temperature": (lambda x, ids: temperature.process(x, 0.7), lambda: theirs.TemperatureLogitsWarper(0.7)),
    "top_k": (lambda x, ids: top_k.process(x, 5), lambda: theirs.TopKLogitsWarper(5)),
    "top_k of few": (lambda x, ids: top_k.process(x, 99), lambda: theirs.TopKLogitsWarper(99)),
    "top_p": (lambda x, ids: top_p.process(x, 0.8), lambda: theirs.TopPLogitsWarper(0.8)),
    "top_p of one": (lambda x, ids: top_p.process(x, 0.01), lambda: theirs.TopPLogitsWarper(0.01)),
    "min_p": (lambda x, ids: min_p.process(x, 0.1), lambda: theirs.MinPLogitsWarper(0.1)),
    "typical": (lambda x, ids: typical.process(x, 0.6), lambda: theirs.TypicalLogitsWarper(0.6)),
    "typical of few": (lambda x, ids: typical.process(x, 0.1), lambda: theirs.TypicalLogitsWarper(0.1)),
}


def drawn(seed: int) -> tuple[np.ndarray, list[int]]:
    """Scores and a text of few different tokens, so that n-grams come again."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, V)
    if seed % 3 == 0:
        scores[rng.integers(0, V, 4)] = -np.inf
    return scores, rng.integers(0, 6, N).tolist()


def assert_same(found: np.ndarray, expected: np.ndarray, *, up_to_a_constant: bool = False) -> None:
    np.testing.assert_array_equal(np.isneginf(found), np.isneginf(expected))
    if up_to_a_constant:
        found, expected = found - found.max(), expected - expected.max()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_each_processor_equals_transformers(name: str) -> None:
    ours, make_theirs = PAIRS[name]
    changed = 0
    for seed in range(60):
        scores, ids = drawn(seed)
        found = ours(scores, ids)
        expected = make_theirs()(torch.tensor([ids]), torch.tensor(scores[None]))[0].numpy()
        assert expected.dtype == np.float64
        assert_same(found, expected, up_to_a_constant=name == "temperature")
        changed += found.tolist() != scores.tolist()
    assert changed or name in ("top_k of few", "min_new_tokens 7")


TINY = theirs.GPT2LMHeadModel(
    theirs.GPT2Config(
        vocab_size=V, n_positions=8, n_embd=4, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0
    )
)


def their_list(s: GenerationSettings, n_prompt: int) -> Any:
    """Their processors in their order, which is `_get_logits_processor`'s of `GenerationMixin`."""
    config = theirs.GenerationConfig(
        sequence_bias=[[[token], float(bias)] for token, bias in s.logit_bias.items()] or None,
        repetition_penalty=s.repetition_penalty,
        no_repeat_ngram_size=s.no_repeat_ngram,
        bad_words_ids=[ALPHABET.encode(text).tolist() for text in s.banned] or None,
        min_new_tokens=s.min_new_tokens,
        do_sample=True,
        temperature=s.temperature,
        top_k=s.top_k or 0,
        top_p=s.top_p,
        min_p=s.min_p,
        typical_p=s.typical_p,
        eos_token_id=EOS,
    )
    config._eos_token_tensor = torch.tensor(EOS)
    return TINY._get_logits_processor(config, input_ids_seq_length=n_prompt)


def random_settings(rng: np.random.Generator) -> GenerationSettings:
    """Return settings of which some are on; theirs keep biases in float32, so that ours are quarters."""

    def maybe(value: Any, off: Any) -> Any:
        return value if rng.random() < 0.6 else off

    return GenerationSettings(
        max_new_tokens=20,
        min_new_tokens=maybe(int(rng.integers(1, 12)), 0),
        temperature=maybe(float(rng.uniform(0.3, 2)), 1.0),
        top_k=maybe(int(rng.integers(1, 12)), None),
        top_p=maybe(float(rng.uniform(0.3, 0.99)), None),
        min_p=maybe(float(rng.uniform(0.01, 0.3)), None),
        typical_p=maybe(float(rng.uniform(0.3, 0.99)), None),
        repetition_penalty=maybe(float(rng.uniform(1.1, 2)), 1.0),
        no_repeat_ngram=maybe(int(rng.integers(1, 4)), 0),
        logit_bias=maybe({int(i): float(rng.integers(-20, 20)) / 4 for i in rng.integers(0, V, 3)}, {}),
        banned=maybe(["e", "bf", "ach", "cc"], []),
    )


def test_all_processors_in_order_equal_transformers() -> None:
    n_kept = set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        settings, (scores, ids) = random_settings(rng), drawn(seed)
        pipeline = Pipeline(settings, V, ALPHABET, EOS)
        found = pipeline.process(scores, Text(ids, 5))
        expected = their_list(settings, 5)(torch.tensor([ids]), torch.tensor(scores[None]))[0].numpy()
        assert_same(found, expected, up_to_a_constant=True)
        n_kept.add(int(np.isfinite(found).sum()))
    assert len(n_kept) > 8  # from one token to nearly all
