"""The KV cache against the full forward pass: the same logits at every position, whatever the lengths."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.generation import generate_batch, generate_tokens
from scratchgpt.generation.decoder import Decoder
from scratchgpt.generation.next_token import NextToken
from scratchgpt.gradcheck.model_cases import CONFIGS, awkward_params
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.nn.kv_cache import CacheSlots, KVCache

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
    decoder = Decoder(sg.BoundModel(model, params, backend), [[3, 1]])
    assert_same_as_full(decoder, model, params, backend, dtype)
    for _ in range(12):  # 14 tokens outgrow the block of 8: the window slides
        decoder.step([int(RNG.integers(11))])
        assert_same_as_full(decoder, model, params, backend, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_prompts_of_different_length_grow_together(backend: Backend, dtype: str) -> None:
    model, params = model_and_params("tied", dtype)
    # Equal neighbours, equal strangers, one that fills the block: it slides while the others still grow.
    lengths = [2, 2, 5, 1, 8, 2]
    decoder = Decoder(
        sg.BoundModel(model, params, backend), [RNG.integers(0, 11, n).tolist() for n in lengths]
    )
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
        slots = cache.next([0, 1, 2], last - first)
        assert slots.positions.tolist() == [list(range(first, last))] * 3
        found = model.next_logits(ctx, tokens[:, first:last], slots)
        np.testing.assert_allclose(found[:, 0], expected[:, last - 1], rtol=1e-12, atol=1e-12)
    assert cache.lengths == [8, 8, 8]
    with pytest.raises(sg.InputError, match="row 0 of the cache has 8 tokens, and 1 more do not fit"):
        cache.next([0], 1)


def test_a_batch_equals_its_prompts_alone(backend: Backend) -> None:
    model, params = model_and_params("untied", "float64")
    prompts = [[1], [4, 4, 9], [0, 2]]
    bound = sg.BoundModel(model, params, backend)
    settings: dict[str, Any] = {"temperature": 0.7, "top_k": 6}
    together = list(generate_batch(bound, prompts, max_new_tokens=15, seed=20, **settings))
    for i, prompt in enumerate(prompts):
        alone = list(generate_tokens(bound, prompt, max_new_tokens=15, seed=20 + i, **settings))
        assert [tokens[i] for tokens in together] == alone


def test_a_language_model_continues_several_prompts() -> None:
    model, params = model_and_params("tied", "float32")
    lm = sg.LanguageModel(model, params, sg.CharTokenizer("\nabcdefghij"), sg.get_backend())
    texts = lm.generate_batch(["a", "fade", "cab"], max_new_tokens=10, temperature=0.5, seed=3)
    assert texts == [
        lm.generate(prompt, max_new_tokens=10, temperature=0.5, seed=3 + i)
        for i, prompt in enumerate(["a", "fade", "cab"])
    ]
    assert lm.generate_batch([], max_new_tokens=3) == []
    with pytest.raises(sg.InputError, match="the prompt has no tokens"):
        lm.generate_batch(["a", ""])


def test_a_bad_token_leaves_the_texts_unchanged() -> None:
    model, params = model_and_params("tied", "float64")
    decoder = Decoder(sg.BoundModel(model, params, sg.get_backend()), [[1, 2], [3]])
    with pytest.raises(
        sg.InputError, match=r"token at \[1, 0\] is 11; expected an id in \[0, vocab_size = 11\)"
    ):
        decoder.step([4, 11])
    assert decoder.texts == [[1, 2], [3]]
    decoder.step([4, 5])
    assert_same_as_full(decoder, model, params, sg.get_backend(), "float64")


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ([4, 5, 6], sg.InputError, "got 3 tokens for 2 texts; expected one per text"),
        ([4], sg.InputError, "got 1 tokens for 2 texts; expected one per text"),
        ([4, 3.5], TypeError, "'float' object cannot be interpreted as an integer"),
    ],
)
def test_a_step_takes_one_token_for_every_text(
    tokens: list[Any], error: type[Exception], message: str
) -> None:
    model, params = model_and_params("tied", "float64")
    decoder = Decoder(sg.BoundModel(model, params, sg.get_backend()), [[1, 2], [3]])
    with pytest.raises(error, match=message):
        decoder.step(tokens)
    assert decoder.texts == [[1, 2], [3]]
    decoder.step([4, 5])
    assert_same_as_full(decoder, model, params, sg.get_backend(), "float64")


@pytest.mark.parametrize("token", [-1, 11, np.int64(-1), np.int64(2**40)])
def test_a_bad_token_leaves_a_single_text_unchanged(backend: Backend, token: int) -> None:
    model, params = model_and_params("tied", "float64")
    decoder = Decoder(sg.BoundModel(model, params, backend), [[1, 2]])
    (logits,) = decoder.logits
    with pytest.raises(sg.InputError, match=rf"token at \[0, 0\] is {token}; expected an id in \[0, voc"):
        decoder.step([token])
    assert decoder.texts == [[1, 2]]
    assert decoder.logits[0] is logits
    decoder.step([4])
    assert_same_as_full(decoder, model, params, backend, "float64")


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array])
def test_a_token_may_be_a_numpy_integer(backend: Backend, kind: Any) -> None:
    model, params = model_and_params("tied", "float64")
    decoder = Decoder(sg.BoundModel(model, params, backend), [[kind(1)]])
    for token in (0, 10, 3):
        decoder.step([kind(token)])
        assert_same_as_full(decoder, model, params, backend, "float64")
    assert decoder.texts == [[1, 0, 10, 3]]


@pytest.mark.parametrize("block_size", [1, 2])
def test_a_single_text_outgrows_the_smallest_block(backend: Backend, block_size: int) -> None:
    model = sg.GPT(dataclasses.replace(CONFIGS["tied"], block_size=block_size))
    params = awkward_params(model)
    decoder = Decoder(sg.BoundModel(model, params, backend), [[5]])
    for token in (3, 3, 0, 9):
        decoder.step([token])
        assert_same_as_full(decoder, model, params, backend, "float64")


def test_nan_weights_of_a_token_affect_only_its_text(backend: Backend) -> None:
    """From the token of broken weights on nothing is a number; the text beside it does not notice."""
    model, params = model_and_params("untied", "float64")
    sound = params.copy()
    params["wte.weight"][5] = np.nan
    decoder = Decoder(sg.BoundModel(model, params, backend), [[1], [2]])
    decoder.step([5, 3])
    decoder.keep([1, 0, 0])
    decoder.step([4, 1, 2])
    assert np.isnan(decoder.logits[1]).all()
    assert np.isnan(decoder.logits[2]).all()
    decoder.keep([0])
    decoder.step([7])
    assert_same_as_full(decoder, model, sound, backend, "float64")


def test_generation_stops_at_a_nan_score(backend: Backend) -> None:
    """The prompt is sound; the fourth position is not, and only a token of its own goes there."""
    model, params = model_and_params("tied", "float64")
    params["wpe.weight"][3] = np.nan
    tokens = generate_tokens(sg.BoundModel(model, params, backend), [1, 2], max_new_tokens=6, temperature=1.0)
    assert all(0 <= next(tokens) < 11 for _ in range(2))
    with pytest.raises(sg.InputError, match="scores of the next token are not finite"):
        next(tokens)


@pytest.mark.parametrize(
    ("name", "passes", "in_vectors"),
    [("reference", [(1, 4), (1, 1), (1, 1)], 0), ("numpy", [(1, 4)], 2)],
)
def test_nothing_is_computed_before_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, name: str, passes: list[tuple[int, int]], in_vectors: int
) -> None:
    """Three tokens after a prompt of four: one pass over four rows, then two over one row."""
    model, params = model_and_params("tied", "float32")
    shapes, calls = [], []
    next_logits, next_token = model.next_logits, NextToken.__call__

    def counted(ctx: Context, tokens: np.ndarray, slots: CacheSlots) -> np.ndarray:
        shapes.append(tokens.shape)
        return next_logits(ctx, tokens, slots)

    def counted_vector(self: NextToken, row: int, token: int) -> np.ndarray:
        calls.append((row, token))
        return next_token(self, row, token)

    monkeypatch.setattr(model, "next_logits", counted)
    monkeypatch.setattr(NextToken, "__call__", counted_vector)
    tokens = list(
        generate_tokens(
            sg.BoundModel(model, params, sg.get_backend(name)),
            [1, 2, 3, 4],
            max_new_tokens=3,
            temperature=1.0,
        )
    )
    assert shapes == passes
    assert calls == [(0, token) for token in tokens[:in_vectors]]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_texts_branch_swap_and_are_dropped(backend: Backend, dtype: str) -> None:
    model, params = model_and_params("tied", dtype)
    decoder = Decoder(sg.BoundModel(model, params, backend), [[1, 2, 3], [4]])
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
    decoder = Decoder(sg.BoundModel(model, params, sg.get_backend()), prompts)
    for _ in range(data.draw(st.integers(1, 5))):
        n = len(decoder.texts)
        decoder.keep(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4)))
        n = len(decoder.texts)
        decoder.step(data.draw(st.lists(tokens, min_size=n, max_size=n)))
    assert_same_as_full(decoder, model, params, sg.get_backend(), "float64")


def test_texts_that_branched_do_not_share_what_comes_later() -> None:
    model, params = model_and_params("tied", "float64")
    decoder = Decoder(sg.BoundModel(model, params, sg.get_backend()), [[1, 2]])
    decoder.keep([0, 0])
    decoder.step([3, 4])
    assert decoder.texts == [[1, 2, 3], [1, 2, 4]]
    assert_same_as_full(decoder, model, params, sg.get_backend(), "float64")


@pytest.mark.parametrize("row", [-1, 2])
def test_keeping_a_missing_text_raises(row: int) -> None:
    model, params = model_and_params("tied", "float64")
    decoder = Decoder(sg.BoundModel(model, params, sg.get_backend()), [[1, 2], [3]])
    with pytest.raises(sg.InputError, match=f"cannot keep text {row}; expected an index from 0 to 1"):
        decoder.keep([0, row])
    assert decoder.texts == [[1, 2], [3]]
    decoder.step([4, 5])
    assert_same_as_full(decoder, model, params, sg.get_backend(), "float64")
