"""The KV cache against the full forward pass: the same logits at every position, whatever the lengths."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.context import NO_GRADS, Context
from scratchgpt.generation import generate_batch, generate_tokens
from scratchgpt.generation.decoder import Decoder
from scratchgpt.gradcheck.model_cases import CONFIGS, awkward_params
from scratchgpt.kv_cache import KVCache, NextTokens

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
RNG = np.random.default_rng(0)


def model_and_params(name: str, dtype: str) -> tuple[sg.GPT, sg.ParamVector]:
    model = sg.GPT(CONFIGS[name])
    return model, awkward_params(model).map(lambda flat: flat.astype(dtype))


def assert_same_as_full(
    decoder: Decoder, model: sg.GPT, params: sg.ParamVector, backend: Backend, dtype: str
) -> None:
    """Compare with a pass without cache over the last block_size tokens of each text."""
    for text, found in zip(decoder.texts, decoder.logits, strict=True):
        window = np.array([text[-model.config.block_size :]])
        expected = sg.logits(model, params, window, backend=backend)[0, -1]
        assert found.dtype == dtype
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CONFIGS)
def test_every_step_equals_the_full_forward(backend: Backend, name: str, dtype: str) -> None:
    model, params = model_and_params(name, dtype)
    decoder = Decoder(model, params, [[3, 1]], backend=backend)
    assert_same_as_full(decoder, model, params, backend, dtype)
    for _ in range(12):  # 14 tokens outgrow the block of 8: the window slides
        decoder.step([int(RNG.integers(11))])
        assert_same_as_full(decoder, model, params, backend, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_prompts_of_different_length_grow_together(backend: Backend, dtype: str) -> None:
    model, params = model_and_params("tied", dtype)
    # Equal neighbours, equal strangers, one that fills the block: it slides while the others still grow.
    lengths = [2, 2, 5, 1, 8, 2]
    decoder = Decoder(model, params, [RNG.integers(0, 11, n).tolist() for n in lengths], backend=backend)
    assert_same_as_full(decoder, model, params, backend, dtype)
    for step in range(1, 9):
        decoder.step(RNG.integers(0, 11, len(lengths)).tolist())
        assert [len(text) for text in decoder.texts] == [n + step for n in lengths]
        assert_same_as_full(decoder, model, params, backend, dtype)


def test_several_tokens_can_follow_what_is_cached(backend: Backend) -> None:
    model, params = model_and_params("untied", "float64")
    tokens = RNG.integers(0, 11, (3, 8))
    cache = KVCache(model.config, 3, like=params.flat)
    ctx = Context(params, NO_GRADS, backend.ops)
    expected = sg.logits(model, params, tokens, backend=backend)
    for first, last in ((0, 3), (3, 4), (4, 8)):
        places = cache.next([0, 1, 2], last - first)
        assert places.positions.tolist() == [list(range(first, last))] * 3
        found = model.next_logits(ctx, tokens[:, first:last], places)
        np.testing.assert_allclose(found[:, 0], expected[:, last - 1], rtol=1e-12, atol=1e-12)
    assert cache.lengths == [8, 8, 8]
    with pytest.raises(sg.InputError, match="row 0 of the cache holds 8 tokens and should take 1 more"):
        cache.next([0], 1)


def test_a_batch_is_what_its_prompts_are_alone(backend: Backend) -> None:
    model, params = model_and_params("untied", "float64")
    prompts = [[1], [4, 4, 9], [0, 2]]
    settings: dict[str, Any] = {"backend": backend, "temperature": 0.7, "top_k": 6}
    together = list(generate_batch(model, params, prompts, 15, seed=20, **settings))
    for i, prompt in enumerate(prompts):
        alone = list(generate_tokens(model, params, prompt, 15, seed=20 + i, **settings))
        assert [tokens[i] for tokens in together] == alone


def test_a_language_model_continues_several_prompts() -> None:
    model, params = model_and_params("tied", "float32")
    lm = sg.LanguageModel(model, params, sg.CharTokenizer("\nabcdefghij"), sg.get_backend())
    texts = lm.generate_batch(["a", "fade", "cab"], max_new_tokens=10, temperature=0.5, seed=3)
    assert texts == [
        lm.generate(prompt, 10, 0.5, seed=3 + i) for i, prompt in enumerate(["a", "fade", "cab"])
    ]
    assert lm.generate_batch([], max_new_tokens=3) == []
    with pytest.raises(sg.InputError, match="the prompt has 0 tokens"):
        lm.generate_batch(["a", ""])


def test_a_bad_token_leaves_the_texts_as_they_were() -> None:
    model, params = model_and_params("tied", "float64")
    decoder = Decoder(model, params, [[1, 2], [3]], backend=sg.get_backend())
    with pytest.raises(
        sg.InputError, match=r"token at \[1, 0\] is 11; expected an id in \[0, vocab_size = 11\)"
    ):
        decoder.step([4, 11])
    assert decoder.texts == [[1, 2], [3]]
    decoder.step([4, 5])
    assert_same_as_full(decoder, model, params, sg.get_backend(), "float64")


def test_only_as_much_is_computed_as_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tokens after a prompt of four: one pass over four rows, then two over one row."""
    model, params = model_and_params("tied", "float32")
    widths = []
    next_logits = model.next_logits

    def counted(ctx: Context, tokens: np.ndarray, places: NextTokens) -> np.ndarray:
        widths.append(tokens.shape)
        return next_logits(ctx, tokens, places)

    monkeypatch.setattr(model, "next_logits", counted)
    list(generate_tokens(model, params, [1, 2, 3, 4], 3, backend=sg.get_backend()))
    assert widths == [(1, 4), (1, 1), (1, 1)]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_texts_branch_change_places_and_are_left_out(backend: Backend, dtype: str) -> None:
    model, params = model_and_params("tied", dtype)
    decoder = Decoder(model, params, [[1, 2, 3], [4]], backend=backend)
    for rows in ([0, 0, 1, 0], [3, 1, 2], [2, 0, 0], [1], [0] * 5, [4, 3, 2, 1, 0], [0, 2]):
        texts = [decoder.texts[row] for row in rows]
        decoder.keep(rows)
        assert decoder.texts == texts
        assert_same_as_full(decoder, model, params, backend, dtype)
        decoder.step(RNG.integers(0, 11, len(rows)).tolist())  # the last two steps are past the block
        assert_same_as_full(decoder, model, params, backend, dtype)
    decoder.keep([])
    decoder.step([])
    assert decoder.texts == decoder.logits == []


@settings(max_examples=30)
@given(st.data())
def test_any_rows_can_be_kept_at_any_time(data: st.DataObject) -> None:
    model, params = model_and_params("untied", "float64")
    tokens = st.integers(0, 10)
    prompts = data.draw(st.lists(st.lists(tokens, min_size=1, max_size=8), min_size=1, max_size=3))
    decoder = Decoder(model, params, prompts, backend=sg.get_backend())
    for _ in range(data.draw(st.integers(1, 5))):
        n = len(decoder.texts)
        decoder.keep(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4)))
        n = len(decoder.texts)
        decoder.step(data.draw(st.lists(tokens, min_size=n, max_size=n)))
    assert_same_as_full(decoder, model, params, sg.get_backend(), "float64")


def test_texts_that_branched_do_not_share_what_comes_later() -> None:
    model, params = model_and_params("tied", "float64")
    decoder = Decoder(model, params, [[1, 2]], backend=sg.get_backend())
    decoder.keep([0, 0])
    decoder.step([3, 4])
    assert decoder.texts == [[1, 2, 3], [1, 2, 4]]
    assert_same_as_full(decoder, model, params, sg.get_backend(), "float64")


@pytest.mark.parametrize("row", [-1, 2])
def test_a_text_that_is_not_there_cannot_be_kept(row: int) -> None:
    model, params = model_and_params("tied", "float64")
    decoder = Decoder(model, params, [[1, 2], [3]], backend=sg.get_backend())
    with pytest.raises(sg.InputError, match=f"text {row} is to be kept; expected one of 0 to 1"):
        decoder.keep([0, row])
    assert decoder.texts == [[1, 2], [3]]
    decoder.step([4, 5])
    assert_same_as_full(decoder, model, params, sg.get_backend(), "float64")
