"""A token in vectors against the same token in arrays: the logits, the cache, and what is left alone."""

from collections.abc import Sequence

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.backends import reference
from scratchgpt.generation.next_token import NextToken
from scratchgpt.gradcheck.model_cases import ADAPTIVE_CONFIGS, CONFIGS, awkward_params
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.nn.kv_cache import KVCache

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
RNG = np.random.default_rng(0)


def model_and_params(name: str, dtype: str) -> tuple[sg.GPT, sg.ParamVector]:
    model = sg.GPT((CONFIGS | ADAPTIVE_CONFIGS)[name])
    return model, awkward_params(model).map(lambda flat: flat.astype(dtype))


def next_token_of(model: sg.GPT, params: sg.ParamVector, cache: KVCache) -> NextToken:
    backend = sg.get_backend("numpy")
    ops = backend.row_ops(model.config, params.flat)
    assert ops is not None
    return NextToken(model, Context(params, NO_GRADS, backend.ops), cache, ops)


def cache_of_nothing(config: sg.GPTConfig, n_rows: int, like: np.ndarray) -> KVCache:
    """Return a cache in which whatever is read before it was written spoils the result."""
    cache = KVCache(config, n_rows, like)
    for array in (*cache.keys, *cache.values):
        array.fill(np.nan)
    return cache


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", CONFIGS | ADAPTIVE_CONFIGS)
def test_a_token_in_vectors_is_a_token_in_arrays(name: str, recompute: bool, dtype: str) -> None:
    """In row 2 of three, at every position; of the cache nothing changes but this row's next place."""
    model, params = model_and_params(name, dtype)
    model = sg.GPT(model.config, recompute=recompute)
    textbook = Context(params, NO_GRADS, reference.OPS)
    found, expected = (cache_of_nothing(model.config, 3, params.flat) for _ in range(2))
    for cache in (found, expected):
        for row, n_time in ((0, 5), (1, 1)):
            model.next_logits(textbook, RNG.integers(0, 11, (1, n_time)), cache.next([row], n_time))
    weights = params.flat.copy()
    next_token = next_token_of(model, params, found)
    earlier: list[tuple[np.ndarray, np.ndarray]] = []
    for position in range(model.config.block_size):
        token = int(RNG.integers(11))
        before = [array.copy() for array in (*found.keys, *found.values)]
        logits = next_token(2, token)
        slots = expected.next([2], 1)
        wanted = model.next_logits(textbook, np.array([[token]]), slots)[0, 0]
        assert logits.dtype == dtype
        atol = TOLERANCE[dtype] * max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(logits, wanted, rtol=0, atol=atol)
        assert found.lengths == expected.lengths == [5, 1, position + 1]
        arrays = zip((*found.keys, *found.values), (*expected.keys, *expected.values), before, strict=True)
        for array, same, old in arrays:
            np.testing.assert_allclose(array[2], same[2], rtol=0, atol=atol)
            old[2, :, position] = array[2, :, position]
            np.testing.assert_array_equal(array, old)
        earlier.append((logits, logits.copy()))
    for logits, copy in earlier:  # no later token wrote over them
        np.testing.assert_array_equal(logits, copy)
    np.testing.assert_array_equal(params.flat, weights)


def test_a_token_in_vectors_sees_the_cache_as_it_is_now() -> None:
    """Rows may be kept, left out and emptied between two tokens."""
    model, params = model_and_params("tied", "float64")
    cache = cache_of_nothing(model.config, 2, params.flat)
    next_token = next_token_of(model, params, cache)
    for row, token in ((0, 1), (1, 4), (1, 9), (0, 2)):
        next_token(row, token)

    def expect(row: int, tokens: Sequence[int]) -> None:
        found = next_token(row, tokens[-1])
        wanted = sg.logits(model, params, np.array([tokens]))[0, -1]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-11)

    cache.keep([1, 1, 0])
    expect(1, [4, 9, 3])
    expect(0, [4, 9, 7])
    expect(2, [1, 2, 0])
    cache.keep([2])
    expect(0, [1, 2, 0, 5])
    cache.lengths[0] = 0
    expect(0, [8])
