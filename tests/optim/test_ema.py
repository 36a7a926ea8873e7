"""The EMA of the weights, compared with its definition and carried through a checkpoint."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.checkpoint import load_training_state, load_weights, save_training_state
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.optim import EMA

LAYOUT = [Param("matrix", (3, 4), std=1.0), Param("vector", (5,), std=1.0)]
MODEL = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8))


def walk(ema: EMA, params: ParamVector, n_steps: int, seed: int = 0) -> list[np.ndarray]:
    """Change the weights at random n_steps times, with an update after each; return all of them."""
    rng = np.random.default_rng(seed)
    history = []
    for _ in range(n_steps):
        params.flat[...] = rng.standard_normal(params.size)
        ema.update()
        history.append(params.flat.copy())
    return history


@given(decay=st.floats(0.0, 0.9999), n_steps=st.integers(1, 12))
def test_the_ema_is_a_weighted_mean_of_the_weights_after_each_step(decay: float, n_steps: int) -> None:
    params = ParamVector.initial(LAYOUT, seed=5, dtype="float64")
    ema = EMA(params, decay)
    history = walk(ema, params, n_steps)
    shares = decay ** np.arange(n_steps)[::-1].astype(float)
    expected = np.average(history, axis=0, weights=shares)
    np.testing.assert_allclose(ema.weights().flat, expected, rtol=1e-9, atol=1e-10)


def test_constant_weights_are_their_own_mean() -> None:
    params = ParamVector.initial(LAYOUT, seed=5)
    ema = EMA(params, 0.99)
    for _ in range(20):
        ema.update()
        np.testing.assert_allclose(ema.weights().flat, params.flat, rtol=1e-5)


def test_the_mean_has_its_own_memory_and_dtype() -> None:
    for dtype, kept in (("float16", "float32"), ("float32", "float32"), ("float64", "float64")):
        params = ParamVector.initial(LAYOUT, seed=5, dtype=dtype)
        ema = EMA(params, 0.9)
        before = ema.weights()
        np.testing.assert_array_equal(before.flat, params.flat)  # there is no mean of nothing
        ema.update()
        for mean in (before, ema.weights()):
            assert mean.flat.dtype == dtype
            assert not np.shares_memory(mean.flat, params.flat)
            assert not np.shares_memory(mean.flat, ema.total.flat)
        assert ema.total.flat.dtype == kept


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan")])
def test_a_bad_decay_is_named(decay: float) -> None:
    with pytest.raises(sg.InputError, match="decay is"):
        EMA(ParamVector.initial(LAYOUT, seed=5), decay)


def test_a_skipped_step_counts_the_same_weights_once_more() -> None:
    params = MODEL.init(seed=1, dtype="float64")
    optimizer, ema = sg.AdamW(params, lr=0.1), EMA(params, 0.5)
    history = []
    for scale in (1.0, np.inf, 1.0):
        optimizer.step(params.map(lambda flat, scale=scale: np.full_like(flat, scale)))
        ema.update()
        history.append(params.flat.copy())
    np.testing.assert_array_equal(history[0], history[1])
    expected = (0.25 * history[0] + 0.5 * history[1] + history[2]) / 1.75
    np.testing.assert_allclose(ema.weights().flat, expected, rtol=1e-12)


@pytest.mark.parametrize("other_decay", [0.9, 0.5])
def test_a_checkpoint_keeps_the_ema_exactly(tmp_path: Path, other_decay: float) -> None:
    params = MODEL.init(seed=1)
    optimizer, ema = sg.AdamW(params), EMA(params, 0.9)
    history = walk(ema, params, 5)
    save_training_state(tmp_path / "s.safetensors", optimizer, {"step": 5}, ema)

    resumed = sg.AdamW(MODEL.init(seed=2))
    other = EMA(resumed.params, other_decay)
    load_training_state(tmp_path / "s.safetensors", MODEL, resumed, other)
    np.testing.assert_array_equal(other.weights().flat, ema.weights().flat)
    history += walk(other, resumed.params, 3, seed=1)
    decays = [0.9] * 5 + [other_decay] * 3
    shares = [(1 - decay) * np.prod(decays[step + 1 :]) for step, decay in enumerate(decays)]
    expected = np.average(history, axis=0, weights=shares)
    np.testing.assert_allclose(other.weights().flat, expected, rtol=1e-4, atol=1e-6)
    weights, _ = load_weights(tmp_path / "s.safetensors", MODEL)
    np.testing.assert_array_equal(weights.flat, params.flat)


def test_a_resumed_run_may_start_or_stop_averaging(tmp_path: Path) -> None:
    for with_mean, asked in itertools.product((False, True), repeat=2):
        params = MODEL.init(seed=1)
        ema = EMA(params, 0.9)
        ema.update()
        save_training_state(tmp_path / "s.safetensors", sg.AdamW(params), {}, ema if with_mean else None)
        resumed = sg.AdamW(MODEL.init(seed=2))
        other = EMA(resumed.params, 0.9)
        load_training_state(tmp_path / "s.safetensors", MODEL, resumed, other if asked else None)
        np.testing.assert_array_equal(resumed.params.flat, params.flat)
        assert other.weight == (ema.weight if with_mean and asked else 0.0)
        np.testing.assert_allclose(other.weights().flat, params.flat, rtol=1e-6)
