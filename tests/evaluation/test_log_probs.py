"""Log-probabilities of a text: the log-softmax of the logits, each token once, in windows if it is long."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.data import Part
from scratchgpt.data.rows import rows_of
from scratchgpt.evaluation import log_probs
from scratchgpt.evaluation.log_probs import windows
from scratchgpt.evaluation.text_loss import text_loss
from scratchgpt.gradcheck.model_cases import awkward_params
from scratchgpt.tokenizers.bpe_training import train_bpe
from scratchgpt.tokenizers.byte import ByteTokenizer
from scratchgpt.tokenizers.split_patterns import PATTERNS

CHARACTERS = "\nabcdefghij"
BLOCK = 8
MODELS = {
    "tied": sg.GPT(sg.GPTConfig(11, BLOCK, n_layer=2, n_head=2, n_embd=16)),
    "padded vocabulary": sg.GPT(sg.GPTConfig(13, BLOCK, n_layer=2, n_head=2, n_embd=16)),
    "adaptive head": sg.GPT(
        sg.GPTConfig(11, BLOCK, n_layer=2, n_head=2, n_embd=16, tie_weights=False, adaptive_cutoffs=(4, 7))
    ),
}
TEXT = "abcabcjihgfedcba\nbead\ncabfigj"


@pytest.fixture(params=MODELS)
def lm(request: pytest.FixtureRequest, backend: Backend) -> Iterator[sg.LanguageModel]:
    model = MODELS[request.param]
    yield sg.LanguageModel(model, awkward_params(model), sg.CharTokenizer(CHARACTERS), backend)


def by_hand(lm: sg.LanguageModel, ids: list[int], block_size: int) -> list[float]:
    """TextLoss a text in windows written as a loop, each token by the first window that ends after it."""
    found = []
    stride = block_size // 2
    for t in range(1, len(ids)):  # ids[t] is predicted
        last = block_size if t <= block_size else block_size + stride * -(-(t - block_size) // stride)
        last = min(last, len(ids) - 1)
        context = ids[max(0, last - block_size) : t]
        logits = sg.logits(lm.model, lm.params, np.array([context]), backend=lm.backend)[0, -1]
        exponentials = [math.exp(score) for score in logits.tolist()]
        found.append(math.log(exponentials[ids[t]] / sum(exponentials)))
    return found


@pytest.mark.parametrize("n", [2, 3, BLOCK, BLOCK + 1, BLOCK + 2, 13, len(TEXT)])
def test_the_log_softmax_of_the_logits_in_float64(lm: sg.LanguageModel, n: int) -> None:
    scored = lm.score(TEXT[:n])
    ids = [CHARACTERS.index(c) for c in TEXT[:n]]
    assert scored.ids.tolist() == ids and scored.texts == list(TEXT[:n])
    assert scored.first == 1 and math.isnan(scored.log_probs[0]) and scored.log_probs.dtype == np.float64
    np.testing.assert_allclose(scored.log_probs[1:], by_hand(lm, ids, BLOCK), rtol=0, atol=1e-11)
    assert lm.perplexity(TEXT[:n]) == pytest.approx(math.exp(-np.mean(by_hand(lm, ids, BLOCK))), rel=1e-10)


def test_a_bos_token_predicts_the_first(lm: sg.LanguageModel) -> None:
    lm = dataclasses.replace(lm, bos_token_id=0)
    scored = lm.score(TEXT)
    assert scored.first == 0 and scored.ids.tolist() == [CHARACTERS.index(c) for c in TEXT]
    np.testing.assert_allclose(
        scored.log_probs, by_hand(lm, [0, *scored.ids.tolist()], BLOCK), rtol=0, atol=1e-11
    )
    assert lm.perplexity("a") == pytest.approx(math.exp(-lm.score("a").log_probs[0]))


def test_the_loss_equals_an_evaluation_with_the_same_context(lm: sg.LanguageModel) -> None:
    ids = lm.tokenizer.encode(
        TEXT[: BLOCK + 1]
    )  # one row: the windows of an evaluation see nothing before them
    rows = rows_of(Part.of(ids), BLOCK)
    loss = text_loss(sg.BoundModel(lm.model, lm.params, lm.backend), rows, batch_size=3).loss
    assert lm.score(TEXT[: BLOCK + 1]).loss == pytest.approx(loss, rel=1e-12)
    assert lm.perplexity(TEXT[: BLOCK + 1]) == pytest.approx(math.exp(loss), rel=1e-12)


def test_windows_one_at_a_time_or_together(lm: sg.LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    together = lm.score(TEXT * 3).log_probs
    monkeypatch.setattr(log_probs, "MAX_LOGITS_AT_ONCE", 1)
    np.testing.assert_allclose(lm.score(TEXT * 3).log_probs, together, rtol=0, atol=1e-11)


@given(st.integers(0, 300), st.integers(1, 40))
def test_windows_score_each_position_once_with_half_a_block_of_context(n: int, block_size: int) -> None:
    taken = []
    for start, first, stop in windows(n, block_size):
        assert 0 <= start <= first < stop <= n and stop - start <= block_size
        assert stop - start == min(n, block_size)  # so they can be rows of one batch
        for place in range(first, stop):
            taken.append(place)
            assert place - start >= min(place, block_size // 2) - (block_size == 1)
    assert taken == list(range(n))


def test_a_part_of_a_character_and_a_special_token_have_texts() -> None:
    tokenizer = ByteTokenizer(["<|end|>"])
    model = sg.GPT(sg.GPTConfig(257, BLOCK, n_layer=1, n_head=1, n_embd=4))
    lm = sg.LanguageModel(model, model.init(), tokenizer, sg.get_backend())
    scored = lm.score("a é<|end|>")
    assert scored.texts == ["a", " ", "\ufffd", "\ufffd", "<|end|>"] and scored.ids[-1] == 256


def test_texts_join_to_the_text() -> None:
    tokenizer = train_bpe({"the": 9, " cat": 5, " and": 5, " the": 9, " hat": 5}, 270, PATTERNS["gpt2"], [])
    model = sg.GPT(sg.GPTConfig(tokenizer.vocab_size, BLOCK, n_layer=1, n_head=1, n_embd=4))
    lm = sg.LanguageModel(model, model.init(), tokenizer, sg.get_backend())
    assert "".join(lm.score("the hat and the cat sat").texts) == "the hat and the cat sat"


def test_bad_texts(lm: sg.LanguageModel) -> None:
    for use in (lm.score, lm.perplexity):
        with pytest.raises(sg.InputError, match="the text is '', which has no tokens; expected at least 1"):
            use("")
        with pytest.raises(sg.InputError, match="'z'"):
            use("abz")
    assert math.isnan(lm.score("a").log_probs[0])
    with pytest.raises(sg.InputError, match="1 token and nothing to predict it from; expected 2 tokens"):
        lm.perplexity("a")
