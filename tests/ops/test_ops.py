"""The ops against their definitions, written out as loops; and that they leave their inputs alone."""

import math

import numpy as np
import pytest

from scratchgpt.backends import Backend
from scratchgpt.gradcheck.op_cases import op_cases
from scratchgpt.ops import cross_entropy, softmax
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.erfc import erfc

RNG = np.random.default_rng(0)


def test_embedding(backend: Backend) -> None:
    wte, wpe = RNG.standard_normal((11, 4)), RNG.standard_normal((8, 4))
    tokens = np.array([[3, 3, 0], [10, 1, 3]])
    x, _ = backend.ops.embedding.forward(tokens, wte, wpe)
    for b in range(2):
        for t in range(3):
            np.testing.assert_array_equal(x[b, t], wte[tokens[b, t]] + wpe[t])


def test_linear(backend: Backend) -> None:
    x, weight, bias = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((4, 5)), RNG.standard_normal(5)
    y, _ = backend.ops.linear.forward(x, weight, bias)
    expected = [
        [[sum(x[b, t, i] * weight[i, o] for i in range(4)) + bias[o] for o in range(5)] for t in range(3)]
        for b in range(2)
    ]
    np.testing.assert_allclose(y, expected, rtol=1e-13)


def test_layernorm_uses_the_biased_variance_and_eps_inside_the_root(backend: Backend) -> None:
    x = [1.0, 2.0, 4.0, 9.0]
    mean = sum(x) / 4
    variance = sum((value - mean) ** 2 for value in x) / 4
    gamma, beta = [2.0, 1.0, 0.5, -1.0], [0.1, 0.2, 0.3, 0.4]
    expected = [(x[c] - mean) / math.sqrt(variance + 0.1) * gamma[c] + beta[c] for c in range(4)]
    y, _ = backend.ops.layernorm.forward(np.array([x]), np.array(gamma), np.array(beta), 0.1)
    np.testing.assert_allclose(y[0], expected, rtol=1e-14)


def test_gelu_tanh(backend: Backend) -> None:
    for x in (-3.0, -0.5, 0.0, 0.7, 4.0):
        expected = 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        y, _ = backend.ops.gelu_tanh.forward(np.array([x]))
        assert y[0] == pytest.approx(expected, rel=1e-14, abs=1e-300)


def test_gelu_exact(backend: Backend) -> None:
    for x in (-6.0, -3.0, -0.5, 0.0, 0.7, 4.0):
        expected = 0.5 * x * math.erfc(-x / math.sqrt(2))
        y, _ = backend.ops.gelu_exact.forward(np.array([x]))
        assert y[0] == pytest.approx(expected, rel=1e-13, abs=1e-300)


def test_erfc_against_the_standard_library() -> None:
    x = np.linspace(-7, 7, 4001)
    expected = np.array([math.erfc(value) for value in x])
    assert np.abs(erfc(x) - expected).max() < 1e-15
    tail = np.linspace(5, 26, 400)
    np.testing.assert_allclose(erfc(tail), [math.erfc(value) for value in tail], rtol=1e-12)
    assert erfc(x.astype(np.float32)).dtype == np.float32


def test_softmax_of_large_scores_and_masked_scores() -> None:
    probs, _ = softmax.forward(np.array([[1000.0, 1000.0, -np.inf], [-1e5, -1e5 + math.log(3), -np.inf]]))
    np.testing.assert_allclose(probs, [[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]], rtol=1e-9)


@pytest.mark.parametrize("S", [5, 8])
def test_attention_against_loops(backend: Backend, S: int) -> None:
    B, H, T, D = 2, 3, 5, 4
    q, k, v = RNG.standard_normal((B, H, T, D)), *RNG.standard_normal((2, B, H, S, D))
    y, _ = backend.ops.attention.forward(q, k, v)
    for b in range(B):
        for h in range(H):
            for t in range(T):
                seen = range(S - T + t + 1)
                scores = [math.exp(sum(q[b, h, t] * k[b, h, s]) / math.sqrt(D)) for s in seen]
                expected = np.array(scores) @ v[b, h, list(seen)] / sum(scores)
                np.testing.assert_allclose(y[b, h, t], expected, rtol=1e-12)


def test_a_masked_key_has_no_influence_at_all(backend: Backend) -> None:
    """Masking uses -inf, not a large negative number: even a key with a huge score stays invisible."""
    q, k, v = RNG.standard_normal((3, 1, 1, 4, 2))
    before, _ = backend.ops.attention.forward(q, k, v)
    k[..., 3, :] = 1e30 * q[..., 0, :]
    after, _ = backend.ops.attention.forward(q, k, v)
    np.testing.assert_array_equal(before[..., :3, :], after[..., :3, :])


def test_split_heads_gives_each_head_its_slice_of_channels(backend: Backend) -> None:
    qkv = np.arange(2 * 3 * 12.0).reshape(2, 3, 12)  # C = 4, H = 2, D = 2
    (q, k, v), _ = backend.ops.split_heads.forward(qkv, 2)
    for third, part in enumerate((q, k, v)):
        for h in range(2):
            np.testing.assert_array_equal(part[:, h], qkv[:, :, 4 * third + 2 * h : 4 * third + 2 * h + 2])


def test_merge_heads_undoes_split_heads(backend: Backend) -> None:
    qkv = RNG.standard_normal((2, 3, 12))
    (q, _, _), _ = backend.ops.split_heads.forward(qkv, 2)
    merged, _ = backend.ops.merge_heads.forward(q)
    np.testing.assert_array_equal(merged, qkv[:, :, :4])


def test_unembedding(backend: Backend) -> None:
    x, weight = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((5, 4))
    logits, _ = backend.ops.unembedding.forward(x, weight)
    np.testing.assert_allclose(logits, np.einsum("btc,vc->btv", x, weight), rtol=1e-13)


def test_cross_entropy_against_the_definition() -> None:
    logits = RNG.standard_normal((2, 3, 5)) * 3
    targets = np.array([[1, IGNORE_INDEX, 4], [0, 0, IGNORE_INDEX]])
    loss, saved = cross_entropy.forward(logits, targets)
    losses = [
        -math.log(math.exp(logits[b, t, targets[b, t]]) / sum(math.exp(z) for z in logits[b, t]))
        for b, t in np.argwhere(targets != IGNORE_INDEX)
    ]
    assert float(loss) == pytest.approx(sum(losses) / 4, rel=1e-13)
    (dlogits,) = cross_entropy.backward(saved)
    np.testing.assert_array_equal(dlogits[targets == IGNORE_INDEX], 0.0)
    np.testing.assert_allclose(dlogits.sum(axis=-1), 0.0, atol=1e-16)


def test_cross_entropy_of_huge_logits_does_not_overflow() -> None:
    logits = np.array([[[1e4, 0.0, -1e4]]], dtype=np.float32)
    loss, saved = cross_entropy.forward(logits, np.array([[2]]))
    assert float(loss) == pytest.approx(2e4)
    (dlogits,) = cross_entropy.backward(saved)
    np.testing.assert_array_equal(dlogits, [[[1.0, 0.0, -1.0]]])


def test_cross_entropy_of_zero_logits_is_ln_v() -> None:
    loss, _ = cross_entropy.forward(np.zeros((2, 3, 11)), np.ones((2, 3), dtype=int))
    assert float(loss) == pytest.approx(math.log(11), rel=1e-14)


def test_cross_entropy_refuses_to_average_nothing() -> None:
    with pytest.raises(ValueError, match="all 6 targets are -100"):
        cross_entropy.forward(np.zeros((2, 3, 5)), np.full((2, 3), IGNORE_INDEX))


def test_micro_batches_add_up_to_the_batch(backend: Backend) -> None:
    x, weight = RNG.standard_normal((3, 4, 6)), RNG.standard_normal((5, 6))
    targets = RNG.integers(0, 5, (3, 4))
    targets[0], targets[1, 2] = IGNORE_INDEX, IGNORE_INDEX  # the first row has no target
    op = backend.ops.linear_cross_entropy
    loss, saved = op.forward(x, weight, targets)
    dx, dweight = op.backward(saved)
    parts = [op.forward(x[b : b + 1], weight, targets[b : b + 1], 7) for b in range(3)]
    assert sum(float(part) for part, _ in parts) == pytest.approx(float(loss), rel=1e-13)
    grads = [op.backward(saved_part) for _, saved_part in parts]
    np.testing.assert_allclose(np.concatenate([dx_part for dx_part, _ in grads]), dx, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(sum(dweight_part for _, dweight_part in grads), dweight, atol=1e-15)


def test_linear_cross_entropy_saves_nothing_without_a_backward(backend: Backend) -> None:
    x, weight, targets = RNG.standard_normal((3, 6)), RNG.standard_normal((5, 6)), np.array([4, 0, 1])
    op = backend.ops.linear_cross_entropy
    loss, saved = op.forward(x, weight, targets, needs_backward=False)
    assert saved is None
    assert float(loss) == float(op.forward(x, weight, targets)[0])


def test_linear_cross_entropy_refuses_to_average_nothing(backend: Backend) -> None:
    with pytest.raises(ValueError, match="all 2 targets are -100"):
        backend.ops.linear_cross_entropy.forward(np.ones((2, 3)), np.ones((4, 3)), np.full(2, IGNORE_INDEX))


def test_dropout_drops_a_fraction_p_and_preserves_the_mean(backend: Backend) -> None:
    x = np.ones((400, 500))
    y, _ = backend.ops.dropout.forward(x, 0.3, np.random.default_rng(0))
    assert set(np.unique(y)) == {0.0, 1.0 / 0.7}
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.005)
    assert y.mean() == pytest.approx(1.0, abs=0.01)


def test_dropout_is_off_in_evaluation(backend: Backend) -> None:
    x = RNG.standard_normal((3, 4))
    y, _ = backend.ops.dropout.forward(x, 0.9, None)
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ops_keep_the_dtype_and_leave_inputs_alone(backend: Backend, dtype: type) -> None:
    for case in op_cases(backend.ops):
        inputs = {
            key: value.astype(dtype) if getattr(value, "dtype", None) == np.float64 else value
            for key, value in case.inputs.items()
        }
        before = {key: np.copy(value) for key, value in inputs.items() if isinstance(value, np.ndarray)}
        y, saved = case.forward(**inputs)
        outputs = y if isinstance(y, tuple) else (y,)
        assert all(output.dtype == dtype for output in outputs), case.op
        dy = tuple(np.ones_like(part) for part in y) if isinstance(y, tuple) else np.ones_like(y)
        dy_before = np.copy(dy)
        gradients = case.backward(saved, dy)
        assert all(gradient.dtype == dtype for gradient in gradients if gradient is not None), case.op
        for key, value in before.items():
            np.testing.assert_array_equal(inputs[key], value, err_msg=f"{case.op} changed {key}")
        np.testing.assert_array_equal(dy, dy_before, err_msg=f"{case.op} changed dy")
