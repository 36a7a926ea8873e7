"""Every pair that the numpy backend replaces, compared with the textbook's over many shapes."""

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.backends import get_backend, reference
from scratchgpt.backends.numpy import (
    attention,
    embedding,
    gelu_tanh,
    layernorm,
    linear,
    linear_cross_entropy,
    split_heads,
)
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.row_gradient import RowGradient
from tests.support.project import CPU_BACKENDS

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
sizes = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from(["float32", "float64"])


def agree(ours: Any, textbook: Any, inputs: list[Any], seed: int, dtype: str, **options: Any) -> None:
    """Run both pairs on the same inputs; compare results and dtypes; check that the inputs are unchanged."""
    before = [np.copy(x) for x in inputs if isinstance(x, np.ndarray)]
    results = []
    for op in (ours, textbook):
        y, saved = op.forward(*inputs, **options)
        dy = np.random.default_rng(seed).standard_normal(y.shape).astype(dtype)
        dy.flags.writeable = False
        results.append([y, *op.backward(saved, dy)])
    for found, expected in zip(*results, strict=True):
        if expected is None:
            assert found is None
            continue
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype == dtype
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale)
    for x, copy in zip([x for x in inputs if isinstance(x, np.ndarray)], before, strict=True):
        np.testing.assert_array_equal(x, copy)


def normal(seed: int, dtype: str, *shape: int) -> np.ndarray:
    """Return a read-only array of normal numbers around 0.3; with an odd seed it is strided."""
    rng = np.random.default_rng([seed, *shape])
    x = (rng.standard_normal((*shape[:-1], 2 * shape[-1])) + 0.3).astype(dtype)
    x = x[..., ::2] if seed % 2 else np.ascontiguousarray(x[..., ::2])
    x.flags.writeable = False
    return x


@given(n=sizes, n_in=sizes, n_out=sizes, bias=st.booleans(), seed=seeds, dtype=dtypes)
def test_linear(n: int, n_in: int, n_out: int, bias: bool, seed: int, dtype: str) -> None:
    inputs = [normal(seed, dtype, 2, n, n_in), normal(seed, dtype, n_in, n_out)]
    inputs += [normal(seed, dtype, n_out)] if bias else []
    agree(linear, reference.OPS.linear, inputs, seed, dtype)


@given(n=st.integers(1, 400), channels=st.integers(2, 200), bias=st.booleans(), seed=seeds, dtype=dtypes)
def test_layernorm(n: int, channels: int, bias: bool, seed: int, dtype: str) -> None:
    inputs = [normal(seed, dtype, n, channels), normal(seed, dtype, channels)]
    inputs += [normal(seed + 2, dtype, channels)] if bias else []
    agree(layernorm, reference.OPS.layernorm, inputs, seed, dtype, eps=1e-2)


@given(n=st.integers(1, 3000), width=st.integers(1, 30), seed=seeds, dtype=dtypes)
def test_gelu_tanh(n: int, width: int, seed: int, dtype: str) -> None:
    agree(gelu_tanh, reference.OPS.gelu_tanh, [3 * normal(seed, dtype, n, width)], seed, dtype)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    n_time=st.integers(1, 150), more=st.integers(0, 70),
    channels=st.integers(1, 20), p=st.sampled_from([0.0, 0.3]), seed=seeds, dtype=dtypes,
)  # fmt: skip
def test_attention(
    shape: tuple[int, int], n_time: int, more: int, channels: int, p: float, seed: int, dtype: str
) -> None:
    q = normal(seed, dtype, *shape, n_time, channels)
    k, v = (normal(seed + i, dtype, *shape, n_time + more, channels) for i in (1, 2))

    class Seeded:
        """A pair that always draws the same dropout mask."""

        def __init__(self, op: Any) -> None:
            self.backward = op.backward
            self.forward = lambda q, k, v: op.forward(q, k, v, p, np.random.default_rng(seed))

    agree(Seeded(attention), Seeded(reference.OPS.attention), [q, k, v], seed, dtype)


def test_split_heads() -> None:
    """Three gradients that are views of one array are not copied; others are."""
    whole = normal(0, "float32", 2, 5, 3, 3, 4)
    dq, dk, dv = whole.transpose(2, 0, 3, 1, 4)
    (dqkv,) = split_heads.backward(split_heads.Saved(), (dq, dk, dv))
    assert np.shares_memory(dqkv, whole)
    np.testing.assert_array_equal(dqkv, whole.reshape(2, 5, 36))
    for parts in ((dk, dq, dv), (dq, dk, dk), (dq, dk, dv.copy()), (dq.copy(), dk.copy(), dv.copy())):
        (dqkv,) = split_heads.backward(split_heads.Saved(), parts)
        (expected,) = reference.OPS.split_heads.backward(None, parts)
        np.testing.assert_array_equal(dqkv, expected)


@pytest.mark.parametrize("n_time", [1, 63, 65, 200])
def test_gradients_of_attention_need_no_copy_in_split_heads(n_time: int) -> None:
    q, k, v = (normal(seed, "float32", 2, 3, n_time, 4) for seed in (0, 2, 4))
    y, saved = attention.forward(q, k, v)
    parts = attention.backward(saved, y)
    (dqkv,) = split_heads.backward(split_heads.Saved(), parts)
    assert all(np.shares_memory(dqkv, part) for part in parts)


@given(
    n_rows=st.integers(1, 4), n_time=st.integers(1, 30), vocab=st.sampled_from([1, 7, 65, 512, 513, 900]),
    channels=st.integers(1, 9), seed=seeds, dtype=dtypes,
)  # fmt: skip
def test_embedding(n_rows: int, n_time: int, vocab: int, channels: int, seed: int, dtype: str) -> None:
    tokens = np.random.default_rng(seed).integers(0, vocab, (n_rows, n_time))
    inputs = [tokens, normal(seed, dtype, vocab, channels), normal(seed, dtype, n_time + 3, channels)]

    class Dense:
        """The pair, with its `RowGradient` expanded into a dense one."""

        forward = staticmethod(embedding.forward)

        @staticmethod
        def backward(saved: Any, dx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            dwte, dwpe = embedding.backward(saved, dx)
            assert isinstance(dwte, RowGradient) == (vocab > embedding.MAX_ONE_HOT_VOCABULARY)
            if isinstance(dwte, RowGradient):
                sums = dwte
                dwte = np.zeros((vocab, channels), sums.values.dtype)
                sums.add_to(dwte)
            return dwte, dwpe

    agree(Dense, reference.OPS.embedding, inputs, seed, dtype)


@given(
    sizes=st.tuples(st.integers(1, 50), st.integers(2, 60), st.integers(1, 20)),
    n_logits=st.sampled_from([1, 100, 1 << 22]), n_vocabulary_rows=st.sampled_from([7, 4096]),
    ignored=st.booleans(), n_targets=st.sampled_from([None, 3]), seed=seeds, dtype=dtypes,
)  # fmt: skip
def test_linear_cross_entropy(
    sizes: tuple[int, int, int], n_logits: int, n_vocabulary_rows: int, ignored: bool,
    n_targets: int | None, seed: int, dtype: str,
) -> None:  # fmt: skip
    n_rows, vocab, channels = sizes
    targets = np.random.default_rng(seed).integers(0, vocab, n_rows)
    if ignored:
        targets[1::3] = IGNORE_INDEX
    inputs = [normal(seed, dtype, n_rows, channels), normal(seed, dtype, vocab, channels), targets]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_cross_entropy, "MAX_LOGITS_PER_CHUNK", n_logits)
        patch.setattr(linear_cross_entropy, "VOCABULARY_ROWS_PER_PRODUCT", n_vocabulary_rows)
        textbook = reference.OPS.linear_cross_entropy
        agree(linear_cross_entropy, textbook, inputs, seed, dtype, n_targets=n_targets)


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_replaced_pairs_have_the_signatures_of_the_textbook(name: str) -> None:
    for op_name, op in vars(get_backend(name).ops).items():
        textbook = getattr(reference.OPS, op_name)
        for half in ("forward", "backward"):
            ours, theirs = (inspect.signature(getattr(each, half)).parameters for each in (op, textbook))
            assert list(ours) == list(theirs), f"{op_name}.{half}"
            assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


def test_every_replaced_pair_is_compared_here() -> None:
    replaced = {
        name for name, op in vars(get_backend("numpy").ops).items() if op is not getattr(reference.OPS, name)
    }
    assert replaced == {
        name.removeprefix("test_") for name in globals() if name.removeprefix("test_") in replaced
    }
