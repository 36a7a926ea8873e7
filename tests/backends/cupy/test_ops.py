"""Every kernel of the cupy backend against the textbook, in every dtype, under several thread schedules.

The textbook computes in float64 from the same inputs, so the only difference is the rounding of the dtype.
"""

import inspect
from typing import Any

import numpy as np
import pytest

from scratchgpt.backends import Backend, reference
from scratchgpt.ops import sampling
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.rng import RowStreams, step_rng
from scratchgpt.ops.updates import clip as textbook_clip
from scratchgpt.ops.updates.adamw import Update, scalars_of
from scratchgpt.ops.updates.adamw import update as textbook_adamw
from tests.support import gpu
from tests.support.slow import others_slow

PRECISION = {"float64": "float32", "float32": "float32", "bfloat16": "bf16", "float16": "float16"}
TOLERANCE = {"float64": 1e-12, "float32": 3e-6, "bfloat16": 1.5e-2, "float16": 2e-3}
every_dtype = pytest.mark.parametrize("dtype", others_slow(PRECISION, ["float64", "bfloat16"]))


def normal(dtype: str, *shape: int, seed: int = 0, gaps: bool = False) -> np.ndarray:
    """Return normal numbers around 0.3; with `gaps`, in a non-contiguous array."""
    rng = np.random.default_rng([seed, *shape])
    x = (rng.standard_normal((*shape[:-1], 2 * shape[-1])) + 0.3).astype(gpu.dtype_of(dtype))
    return x[..., ::2] if gaps else np.ascontiguousarray(x[..., ::2])


def agree(backend: Backend, name: str, dtype: str, inputs: list[Any], **options: Any) -> None:
    """Run both pairs on the same inputs; compare the results, and check that the inputs are unchanged."""
    real = gpu.dtype_of(dtype)
    ours, textbook = getattr(backend.ops, name), getattr(reference.OPS, name)

    def fresh(rng: Any) -> Any:
        return RowStreams.spawn(step_rng(*rng), len(inputs[0])) if isinstance(rng, tuple) else rng

    def called(op: Any, arrays: list[Any]) -> tuple[Any, Any]:
        keywords = {key: fresh(value) for key, value in options.items()}
        return op.forward(*arrays, **keywords)

    device_inputs = [backend.to_device(x) if isinstance(x, np.ndarray) else x for x in inputs]
    exact_inputs = [
        x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype == real else x for x in inputs
    ]
    with gpu.every_schedule():
        y, saved = called(ours, device_inputs)
    expected, expected_saved = called(textbook, exact_inputs)
    dy = normal(dtype, *expected.shape, seed=5) if expected.ndim else None
    with gpu.every_schedule():
        found = [y, *ours.backward(saved, *([] if dy is None else [backend.to_device(dy)]))]
    wanted = [
        expected,
        *textbook.backward(expected_saved, *([] if dy is None else [dy.astype(np.float64)])),
    ]
    for i, (one, other) in enumerate(zip(found, wanted, strict=True)):
        if other is None:
            assert one is None
            continue
        host = backend.to_host(one).astype(np.float64)
        assert host.shape == other.shape
        scale = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(host, other, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=f"result {i}")
    for x, sent in zip(inputs, device_inputs, strict=True):
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(backend.to_host(sent), x)


def backend_for(dtype: str) -> Backend:
    return gpu.backend(PRECISION[dtype])


@every_dtype
@pytest.mark.parametrize(
    ("shape", "n_out", "bias"), [((3, 5, 16), 24, True), ((7, 9), 5, False), ((1, 33), 1, True)]
)
def test_cupy_linear(dtype: str, shape: tuple[int, ...], n_out: int, bias: bool) -> None:
    inputs = [normal(dtype, *shape), normal(dtype, shape[-1], n_out)]
    inputs += [normal(dtype, n_out)] if bias else []
    agree(backend_for(dtype), "linear", dtype, inputs)


@every_dtype
@pytest.mark.parametrize(("n_rows", "channels", "bias"), [(70, 48, True), (3, 33, False), (1, 7, True)])
def test_cupy_layernorm(dtype: str, n_rows: int, channels: int, bias: bool) -> None:
    inputs = [normal(dtype, n_rows, channels), normal(dtype, channels, seed=1)]
    inputs += [normal(dtype, channels, seed=2)] if bias else []
    agree(backend_for(dtype), "layernorm", dtype, inputs, eps=1e-2)


@every_dtype
@pytest.mark.parametrize("name", ["gelu_tanh", "gelu_exact"])
@pytest.mark.parametrize("shape", [(3, 5, 8), (1, 13), (300, 17)])
def test_cupy_gelu(dtype: str, name: str, shape: tuple[int, ...]) -> None:
    agree(backend_for(dtype), name, dtype, [3 * normal(dtype, *shape)])


@pytest.mark.parametrize("name", ["gelu_tanh", "gelu_exact"])
def test_cupy_gelu_far_from_zero(name: str) -> None:
    backend = gpu.backend()
    x = np.array([-1e4, -40.0, -10.0, 10.0, 40.0, 1e4], dtype=np.float32)
    y, saved = getattr(backend.ops, name).forward(backend.to_device(x))
    (dx,) = getattr(backend.ops, name).backward(saved, backend.to_device(np.ones_like(x)))
    np.testing.assert_allclose(backend.to_host(y), np.maximum(x, 0.0), atol=1e-6)
    np.testing.assert_allclose(backend.to_host(dx), x > 0, atol=1e-6)


SHAPES = [  # B, H, T, S, D, p
    (2, 2, 70, 70, 64, 0.0),
    (1, 2, 33, 33, 16, 0.3),
    (2, 1, 5, 45, 33, 0.2),
    (1, 1, 40, 40, 128, 0.0),
    (1, 1, 1, 1, 1, 0.0),
    (1, 2, 1, 67, 24, 0.0),
]


@every_dtype
@pytest.mark.parametrize(("B", "H", "T", "S", "D", "p"), others_slow(SHAPES, SHAPES[1:3]))
@pytest.mark.parametrize("packed", [True, False])
def test_cupy_attention(dtype: str, B: int, H: int, T: int, S: int, D: int, p: float, packed: bool) -> None:
    q = normal(dtype, B, H, T, D)
    k, v = (normal(dtype, B, H, S, D, seed=i, gaps=not packed) for i in (1, 2))
    if packed and T == S:  # views of one array, as from split_heads
        q, k, v = np.stack([x.transpose(0, 2, 1, 3) for x in (q, k, v)], axis=2).transpose(2, 0, 3, 1, 4)
    agree(backend_for(dtype), "attention", dtype, [q, k, v], p=p, rng=(1, 2))


def test_cupy_attention_refuses_heads_that_are_too_large() -> None:
    backend = gpu.backend()
    q = backend.to_device(np.zeros((1, 1, 2, 129), dtype=np.float32))
    with pytest.raises(ValueError, match="n_embd / n_head = 129 channels; GPU kernels support at most 128"):
        backend.ops.attention.forward(q, q, q)


@every_dtype
@pytest.mark.parametrize(("B", "T", "V", "C"), [(2, 5, 7, 12), (3, 50, 300, 5), (40, 60, 3, 2)])
def test_cupy_embedding(dtype: str, B: int, T: int, V: int, C: int) -> None:
    tokens = np.random.default_rng(V).integers(0, V, (B, T))
    agree(
        backend_for(dtype),
        "embedding",
        dtype,
        [tokens, normal(dtype, V, C), normal(dtype, T + 3, C, seed=1)],
    )


@every_dtype
@pytest.mark.parametrize("chunk", [1, 1 << 27])
@pytest.mark.parametrize(("N", "V", "C", "n_targets"), [(9, 70, 12, None), (5, 1, 3, 7), (4, 1030, 8, 4)])
def test_cupy_linear_cross_entropy(
    dtype: str, N: int, V: int, C: int, n_targets: int | None, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_for(dtype)
    from scratchgpt.backends.cupy import linear_cross_entropy

    monkeypatch.setattr(linear_cross_entropy, "MAX_LOGITS_PER_CHUNK", chunk)
    targets = np.random.default_rng(V).integers(0, V, N)
    targets[1::3] = IGNORE_INDEX
    inputs = [normal(dtype, N, C), normal(dtype, V, C, seed=1), targets]
    if dtype != "float16":
        agree(backend, "linear_cross_entropy", dtype, inputs, n_targets=n_targets)
        return
    # With float16, gradients are multiplied by the loss scale.
    ours, textbook = backend.ops.linear_cross_entropy, reference.OPS.linear_cross_entropy
    loss, saved = ours.forward(*map(backend.to_device, inputs), n_targets=n_targets)
    exact, exact_saved = textbook.forward(
        *(x.astype(np.float64) for x in inputs[:2]), targets, n_targets=n_targets
    )
    assert float(loss) == pytest.approx(float(exact), abs=2e-3)
    for found, expected in zip(ours.backward(saved), textbook.backward(exact_saved), strict=True):
        scaled = backend.to_host(found).astype(np.float64) / 2**16
        np.testing.assert_allclose(scaled, expected, atol=2e-3 * max(1.0, np.abs(expected).max()))


def test_cupy_linear_cross_entropy_refuses_to_average_nothing() -> None:
    backend = gpu.backend()
    x, w = (backend.to_device(normal("float32", 2, 3)) for _ in range(2))
    ignored = backend.to_device(np.array([IGNORE_INDEX] * 2))
    with pytest.raises(ValueError, match="all 2 targets are -100"):
        backend.ops.linear_cross_entropy.forward(x, w, ignored)


@every_dtype
def test_cupy_unembedding(dtype: str) -> None:
    agree(backend_for(dtype), "unembedding", dtype, [normal(dtype, 2, 3, 12), normal(dtype, 17, 12, seed=1)])


@every_dtype
def test_cupy_heads(dtype: str) -> None:
    backend = backend_for(dtype)
    agree(backend, "merge_heads", dtype, [normal(dtype, 2, 3, 5, 4)])
    qkv = normal(dtype, 2, 5, 3 * 12)
    parts, saved = backend.ops.split_heads.forward(backend.to_device(qkv), 3)
    (back,) = backend.ops.split_heads.backward(saved, tuple(part.copy() for part in parts))
    np.testing.assert_array_equal(backend.to_host(back), qkv)


def test_cupy_gradients_of_heads_are_copied_only_where_they_must_be() -> None:
    backend = gpu.backend()
    whole = backend.to_device(normal("float32", 2, 5, 3, 3, 4))
    q, k, v = whole.transpose(2, 0, 3, 1, 4)
    (back,) = backend.ops.split_heads.backward(None, (q, k, v))
    assert back.data.ptr == whole.data.ptr
    for parts in ((k, q, v), (q, k, k), (q, k, v.copy())):
        (back,) = backend.ops.split_heads.backward(None, parts)
        (expected,) = reference.OPS.split_heads.backward(None, tuple(map(backend.to_host, parts)))
        np.testing.assert_array_equal(backend.to_host(back), expected)


@every_dtype
@pytest.mark.parametrize("shape", [(3, 7, 5), (2, 1001), (1, 8), (5, 3, 64)])
def test_cupy_dropout(dtype: str, shape: tuple[int, ...]) -> None:
    agree(backend_for(dtype), "dropout", dtype, [normal(dtype, *shape)], p=0.3, rng=(3, 4))


def test_cupy_masks_are_those_of_numpy_bit_for_bit() -> None:
    """Three draws in a row, from positions that are not multiples of a block, across an overflow at 2**64."""
    backend = gpu.backend()
    from scratchgpt.backends.cupy.dropout import attention_mask

    host, device = (RowStreams.spawn(step_rng(8, 9), 3) for _ in range(2))
    for streams in (host, device):
        streams.state[1, 2] = np.uint64(2**64 - 2)  # the counter's first word overflows
    for shape in ((3, 5), (3, 4, 11), (3, 1)):
        x = np.ones(shape, dtype=np.float32)
        y, _ = backend.ops.dropout.forward(backend.to_device(x), 0.4, device)
        expected, _ = reference.OPS.dropout.forward(x, 0.4, host)
        np.testing.assert_array_equal(backend.to_host(y), expected)
    words = backend.to_host(attention_mask((3, 2, 40, 40), 0.4, device))
    bits = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")[..., :40].astype(bool)
    expected = host.random((3, 2, 40, 40), np.float32) >= 0.4
    seen = np.tri(40, dtype=bool)
    np.testing.assert_array_equal(bits[..., seen], expected[..., seen])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 1000, 5001])
def test_cupy_adamw(dtype: str, n: int) -> None:
    backend = gpu.backend()
    rng = np.random.default_rng(n)
    vectors = [rng.standard_normal(n).astype(dtype) for _ in range(3)]
    vectors.append(rng.random(n).astype(dtype))
    n_decaying, scalars = n // 3, scalars_of(0.1, 3, (0.9, 0.95))
    on_device = [backend.to_device(x) for x in vectors]
    step = Update(*on_device, n_decaying, (0.9, 0.95), 1e-8, 0.3, backend.to_device(scalars))
    with gpu.every_schedule():
        backend.adamw(step)
    textbook_adamw(Update(*vectors, n_decaying, (0.9, 0.95), 1e-8, 0.3, scalars))
    for found, expected in zip(on_device, vectors, strict=True):
        tolerance = 1e-13 if dtype == "float64" else 2e-6
        np.testing.assert_allclose(backend.to_host(found), expected, rtol=tolerance, atol=tolerance)


def test_cupy_adamw_leaves_everything_alone_if_the_norm_is_not_finite() -> None:
    backend = gpu.backend()
    vectors = [backend.to_device(np.full(9, value, dtype=np.float32)) for value in (1.0, np.nan, 2.0, 3.0)]
    scalars = backend.to_device(scalars_of(0.1, 1, (0.9, 0.95)))
    norm = backend.clip(vectors[1], 1.0)
    backend.adamw(Update(*vectors, 9, (0.9, 0.95), 1e-8, 0.3, scalars), norm)
    assert [float(backend.to_host(x)[0]) for x in (vectors[0], *vectors[2:])] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "max_norm"), [(3000, 1.0), (3000, 1e6), (1, 0.1), (777, np.inf)])
def test_cupy_clip(dtype: str, n: int, max_norm: float) -> None:
    backend = gpu.backend()
    x = normal(dtype, n)
    on_device = backend.to_device(x)
    with gpu.every_schedule():
        norm = float(backend.clip(on_device, max_norm))
    assert norm == pytest.approx(textbook_clip.clip(x, max_norm), rel=1e-6)
    np.testing.assert_allclose(backend.to_host(on_device), x, rtol=3e-6)


@every_dtype
@pytest.mark.parametrize("top_k", others_slow([None, 0, 1, 3, 100], [None, 3]))
@pytest.mark.parametrize("temperature", others_slow([0.0, 1e-30, 0.7, 1.0, 3.0], [0.0, 0.7]))
def test_cupy_pick(dtype: str, top_k: int | None, temperature: float) -> None:
    backend = backend_for(dtype)
    rng = np.random.default_rng(7)
    scores = [(3 * normal(dtype, n, seed=n)) for n in (1, 5, 65, 1000)]
    scores.append(np.round(scores[3]))  # with many ties
    scores.append(np.array([0.0, -0.0, 0.0, -1.0], dtype=scores[0].dtype))
    uniforms = [0.0, *rng.random(4), 1.0 - 2.0**-53]
    with gpu.every_schedule():
        found = backend.sample([backend.to_device(x) for x in scores], temperature, top_k, uniforms)
    expected = [
        sampling.sample(x.astype(np.float64), temperature, top_k, u)
        for x, u in zip(scores, uniforms, strict=True)
    ]
    assert found == expected


def test_cupy_pick_refuses_scores_that_are_not_finite() -> None:
    backend = gpu.backend()
    with pytest.raises(ValueError, match="scores of the next token are not finite"):
        backend.sample([backend.to_device(np.array([1.0, np.nan], dtype=np.float32))], 1.0, None, [0.5])


def test_cupy_replaced_pairs_have_the_signatures_of_the_textbook() -> None:
    for op_name, op in vars(gpu.backend().ops).items():
        textbook = getattr(reference.OPS, op_name)
        for half in ("forward", "backward"):
            ours, theirs = (inspect.signature(getattr(each, half)).parameters for each in (op, textbook))
            assert list(ours) == list(theirs), f"{op_name}.{half}"
            assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]
