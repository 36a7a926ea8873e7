"""AdamW, clipping and the schedule."""

import math

import numpy as np
import pytest
from adamw_by_hand import adamw

import scratchgpt as sg
from scratchgpt.backends.numpy import adamw as adamw_module
from scratchgpt.params import Param, ParamVector

LAYOUT = [Param("matrix", (3, 4), std=1.0), Param("vector", (5,), std=1.0)]
BETAS, EPS, DECAY = (0.9, 0.95), 1e-3, 0.3
RATES = [0.1, 0.05, 0.2, 0.1]


def assert_follows_the_definition(optimizer_class: type[sg.AdamW]) -> None:
    """Compare four steps, element by element, gradients from tiny to large, with decay on matrices only."""
    params = ParamVector.initial(LAYOUT, seed=0, dtype="float64")
    start = params.copy()
    rng = np.random.default_rng(1)
    scales = 10.0 ** rng.uniform(-6, 2, params.size)
    gradients = [params.map(lambda flat: rng.standard_normal(flat.shape) * scales) for _ in RATES]
    optimizer = optimizer_class(params, lr=123.0, betas=BETAS, eps=EPS, weight_decay=DECAY)
    for step, (grads, lr) in enumerate(zip(gradients, RATES, strict=True)):
        before = grads.flat.copy()
        optimizer.step(grads, lr)
        np.testing.assert_array_equal(grads.flat, before, err_msg="step changed the gradients")
        for name, view in params.items():
            decay = DECAY if view.ndim == 2 else 0.0
            for index in np.ndindex(view.shape):
                history = [grads[name][index] for grads in gradients]
                path = adamw(start[name][index], history, RATES, BETAS, EPS, decay)
                assert view[index] == pytest.approx(path[step], rel=1e-12), (name, index, step)


def test_adamw_follows_the_definition() -> None:
    assert_follows_the_definition(sg.AdamW)


def test_adamw_in_blocks_smaller_than_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adamw_module, "BLOCK", 5)
    assert_follows_the_definition(sg.AdamW)


def test_the_first_step_has_the_size_of_the_learning_rate() -> None:
    params = ParamVector(LAYOUT, np.zeros(17))
    sg.AdamW(params, lr=0.1, weight_decay=0.0).step(params.map(lambda flat: np.full_like(flat, -3.0)))
    np.testing.assert_allclose(params.flat, 0.1, rtol=1e-8)


def test_moments_are_float32_at_least() -> None:
    for dtype, expected in (("float16", "float32"), ("float32", "float32"), ("float64", "float64")):
        optimizer = sg.AdamW(ParamVector(LAYOUT, np.zeros(17, dtype=dtype)))
        assert optimizer.m.flat.dtype == expected
        assert optimizer.v.flat.dtype == expected


@pytest.mark.parametrize(
    "bad", [{"lr": -1.0}, {"betas": (1.0, 0.9)}, {"eps": 0.0}, {"weight_decay": -0.1}, {"lr": math.nan}]
)
def test_bad_hyperparameters_are_named(bad: dict) -> None:
    with pytest.raises(sg.InputError, match=next(iter(bad))):
        sg.AdamW(ParamVector(LAYOUT, np.zeros(17)), **bad)


def test_clipping_scales_everything_together() -> None:
    grads = ParamVector(LAYOUT, np.arange(17.0))
    norm = math.sqrt(sum(i * i for i in range(17)))
    assert sg.clip_grad_norm(grads, max_norm=2.0) == pytest.approx(norm)
    np.testing.assert_allclose(grads.flat, np.arange(17.0) * 2.0 / (norm + 1e-6), rtol=1e-14)


def test_clipping_leaves_small_gradients_alone() -> None:
    grads = ParamVector(LAYOUT, np.full(17, 0.01))
    sg.clip_grad_norm(grads, max_norm=1.0)
    np.testing.assert_array_equal(grads.flat, 0.01)
    with pytest.raises(sg.InputError, match="max_norm is 0"):
        sg.clip_grad_norm(grads, max_norm=0)


def test_the_schedule_at_its_corners() -> None:
    def at(step: int) -> float:
        return sg.cosine_with_warmup(step, peak=1.0, floor=0.1, warmup_steps=4, max_steps=14)

    assert [at(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert at(9) == pytest.approx(0.55)  # half way
    assert at(14) == pytest.approx(0.1)
    assert at(1000) == 0.1
    assert all(at(step) >= at(step + 1) for step in range(4, 20))


def test_a_schedule_without_warmup_starts_at_the_peak() -> None:
    assert sg.cosine_with_warmup(0, peak=1.0, floor=0.0, warmup_steps=0, max_steps=10) == 1.0
