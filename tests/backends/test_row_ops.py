"""Ops on a single row, compared with the textbook's pairs over many sizes and extreme values.

The expected results are computed in float64, so all rounding in float32 is that of the row op.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

import scratchgpt as sg
from scratchgpt.backends import base, get_backend, reference
from scratchgpt.backends.numpy.row_ops import MIN_WEIGHTS_FOR_THREADS, RowOps
from tests.support.shape_checker import checked

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
sizes = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from(["float32", "float64"])
biases = st.booleans()


def row_ops(dtype: str, n_embd: int = 1, **shape: Any) -> RowOps:
    config = sg.GPTConfig(**({"vocab_size": 1, "n_layer": 1, "n_head": 1, "n_embd": n_embd} | shape))
    return RowOps(config, np.empty(0, dtype), 1)


def normal(seed: int, dtype: str, *shape: int) -> np.ndarray:
    """Return a read-only array of normal numbers around 0.3."""
    x = (np.random.default_rng([seed, *shape]).standard_normal(shape) + 0.3).astype(dtype)
    x.flags.writeable = False
    return x


def textbook(name: str, *inputs: np.ndarray | None, **options: Any) -> np.ndarray:
    """Run the textbook's forward in float64; the inputs must have the leading dimensions that it expects."""
    wide = [x if x is None else x.astype(np.float64) for x in inputs]
    y, _ = getattr(reference.OPS, name).forward(*wide, **options)
    return y


def agree(
    op: Callable[..., np.ndarray], inputs: list[np.ndarray | None], expected: np.ndarray, scale: float
) -> None:
    """Check that the op returns what is expected, in a new array that a second call does not overwrite.

    The error may be up to the tolerance of the dtype times `scale`, the largest intermediate value that was
    rounded.
    """
    arrays = [x for x in inputs if x is not None]
    before = [x.copy() for x in arrays]
    first = checked(op)(*inputs)
    kept = first.copy()
    second = op(*inputs)
    assert not any(np.may_share_memory(first, other) for other in (second, *arrays))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second, kept)
    for x, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(x, copy)
    assert first.dtype == arrays[0].dtype
    assert first.shape == expected.shape
    np.testing.assert_allclose(first, expected, rtol=0, atol=TOLERANCE[str(first.dtype)] * scale)


@given(
    channels=st.integers(1, 200), bias=biases, seed=seeds, dtype=dtypes,
    mean=st.sampled_from([0.0, 1.0, -100.0, 1e4]), spread=st.sampled_from([0.0, 1e-6, 1e-2, 1.0, 1e6]),
    eps=st.sampled_from([1e-12, 1e-5, 0.1]),
)  # fmt: skip
@example(channels=1, bias=True, seed=0, dtype="float32", mean=1e4, spread=1.0, eps=1e-5)
@example(channels=64, bias=False, seed=0, dtype="float32", mean=1e4, spread=1.0, eps=1e-5)
def test_layernorm(
    channels: int, bias: bool, seed: int, dtype: str, mean: float, spread: float, eps: float
) -> None:
    x = (mean + spread * normal(seed, "float64", channels)).astype(dtype)
    x.flags.writeable = False
    weight, beta = normal(seed + 1, dtype, channels), normal(seed + 2, dtype, channels) if bias else None
    # The rounding error of the mean is divided by σ.
    lost = np.abs(x).max() / np.sqrt(x.astype(np.float64).var() + eps)
    op = row_ops(dtype, channels, layer_norm_epsilon=eps).layernorm
    expected = textbook("layernorm", x[None], weight, beta, eps=eps)[0]
    agree(op, [x, weight, beta], expected, scale=float((1.0 + lost) * max(1.0, np.abs(weight).max())))


@given(n_in=sizes, n_out=sizes, bias=biases, seed=seeds, dtype=dtypes, size=st.sampled_from([1e-20, 1, 1e15]))
def test_linear(n_in: int, n_out: int, bias: bool, seed: int, dtype: str, size: float) -> None:
    x = normal(seed, dtype, n_in) * np.dtype(dtype).type(size)
    weight = normal(seed + 1, dtype, n_in, n_out)
    b = normal(seed + 2, dtype, n_out) if bias else None
    scale = (np.abs(x) @ np.abs(weight)).max() + (0.0 if b is None else np.abs(b).max())
    agree(row_ops(dtype).linear, [x, weight, b], textbook("linear", x[None], weight, b)[0], float(scale))


@given(
    n_head=st.integers(1, 5), depth=st.integers(1, 20), n_seen=st.integers(1, 150), room=st.integers(0, 20),
    size=st.sampled_from([0.0, 1.0, 100.0, 1e4]), seed=seeds, dtype=dtypes,
)  # fmt: skip
@example(n_head=2, depth=8, n_seen=30, room=0, size=1e4, seed=0, dtype="float64")  # e to the 10,000th
def test_attention(
    n_head: int, depth: int, n_seen: int, room: int, size: float, seed: int, dtype: str
) -> None:
    """Keys and values are views into a cache, as in a model; the unused rest of the cache is not read."""
    q = normal(seed, dtype, n_head, depth) * np.dtype(dtype).type(size)
    cache = np.full((2, n_head, n_seen + room, depth), np.nan, dtype)
    cache[:, :, :n_seen] = normal(seed + 1, dtype, 2, n_head, n_seen, depth)
    k, v = cache[:, :, :n_seen]
    scores = np.einsum("hd,hsd->hs", np.abs(q), np.abs(k)) / np.sqrt(depth)
    scale = (1.0 + float(scores.max())) * float(np.abs(v).max())
    op = row_ops(dtype, n_head * depth, n_head=n_head, block_size=n_seen + room).attention
    expected = textbook("attention", q[None, :, None], k[None], v[None])[0, :, 0]
    agree(op, [q, k, v], expected, scale)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_attention_to_one_key_with_a_huge_score_is_its_value(dtype: str) -> None:
    """With a huge negative score, the key has no effect."""
    q, k, v = np.ones((2, 3), dtype), np.ones((2, 4, 3), dtype), normal(0, dtype, 2, 4, 3)
    k[:, 2] = 1e5
    op = row_ops(dtype, 6, n_head=2, block_size=4).attention
    np.testing.assert_array_equal(op(q, k, v), v[:, 2])
    others = v[:, [0, 1, 3]].mean(axis=1)
    np.testing.assert_allclose(op(-q, k, v), others, rtol=0, atol=TOLERANCE[dtype])


def test_nan_in_one_head_of_attention_does_not_affect_the_others() -> None:
    q, k, v = normal(0, "float64", 3, 2), normal(1, "float64", 3, 5, 2).copy(), normal(2, "float64", 3, 5, 2)
    op = row_ops("float64", 6, n_head=3, block_size=5).attention
    expected = op(q, k, v)
    k[1, 3] = np.nan
    y = op(q, k, v)
    assert np.isnan(y[1]).all()
    np.testing.assert_array_equal(y[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("activation", ["gelu_tanh", "gelu_exact"])
@given(width=st.integers(1, 300), size=st.sampled_from([1e-6, 1.0, 10.0, 1e4]), seed=seeds, dtype=dtypes)
def test_gelu(activation: str, width: int, size: float, seed: int, dtype: str) -> None:
    x = normal(seed, dtype, width) * np.dtype(dtype).type(size)
    op = row_ops(dtype, activation=activation).gelu
    agree(op, [x], textbook(activation, x), scale=float(np.abs(x).max()))


def test_every_row_op_is_compared_here() -> None:
    names = {name for name in vars(base.RowOps) if not name.startswith("_")}
    assert names == {"active", "layernorm", "linear", "attention", "gelu"}
    assert all(f"test_{name}" in globals() for name in names - {"active"})


@pytest.mark.parametrize(
    ("n_weights", "expected"), [(MIN_WEIGHTS_FOR_THREADS - 1, 1), (MIN_WEIGHTS_FOR_THREADS, 2)]
)
def test_a_small_model_uses_a_single_blas_thread(n_weights: int, expected: int) -> None:
    config = sg.GPTConfig(vocab_size=3, n_layer=1, n_head=1, n_embd=2)
    ops = RowOps(config, np.empty(n_weights, "float32"), threads=2)
    with ops.active():
        found = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    assert found == {expected}


def test_the_reference_backend_has_no_row_ops() -> None:
    config = sg.GPTConfig(vocab_size=3, n_layer=1, n_head=1, n_embd=2)
    assert get_backend("reference").row_ops(config, np.empty(0, "float32")) is None
    assert isinstance(get_backend("numpy").row_ops(config, np.empty(0, "float32")), RowOps)
