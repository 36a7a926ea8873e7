"""Lion, compared with its formula one weight at a time, and with planted mistakes."""

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.ops.updates import lion as formula
from scratchgpt.optim import Lion
from tests.gradcheck.test_faults import ids, patched_module
from tests.support.faults import LION_FAULTS, Fault

LAYOUT = [Param("matrix", (3, 4), std=1.0), Param("vector", (5,), std=1.0)]
BETAS, DECAY = (0.8, 0.95), 0.3
RATES = [0.1, 0.05, 0.2, 0.1]


def lion_by_hand(w: float, gradients: list[float], decay: float) -> list[float]:
    """Return the weight after each step, by algorithm 2 of the paper."""
    m = 0.0
    path = []
    for g, lr in zip(gradients, RATES, strict=True):
        c = BETAS[0] * m + (1 - BETAS[0]) * g
        sign = int(c > 0) - int(c < 0)
        w = w - lr * (sign + decay * w)
        m = BETAS[1] * m + (1 - BETAS[1]) * g
        path.append(w)
    return path


def assert_follows_the_definition(optimizer_class: type[Lion]) -> None:
    """Compare four steps element by element, with some zero gradients and decay on matrices only."""
    params = ParamVector.initial(LAYOUT, seed=0, dtype="float64")
    start = params.copy()
    rng = np.random.default_rng(1)
    gradients = [params.map(lambda flat: rng.standard_normal(flat.shape)) for _ in RATES]
    for grads in gradients:
        grads.flat[::4] = 0.0
    optimizer = optimizer_class(params, lr=123.0, betas=BETAS, weight_decay=DECAY)
    for step, (grads, lr) in enumerate(zip(gradients, RATES, strict=True)):
        before = grads.flat.copy()
        optimizer.step(grads, lr)
        np.testing.assert_array_equal(grads.flat, before, err_msg="step changed the gradients")
        for name, view in params.items():
            decay = DECAY if view.ndim == 2 else 0.0
            for index in np.ndindex(view.shape):
                history = [grads[name][index] for grads in gradients]
                path = lion_by_hand(start[name][index], history, decay)
                assert view[index] == pytest.approx(path[step], rel=1e-12), (name, index, step)


def test_lion_follows_the_definition() -> None:
    assert_follows_the_definition(Lion)


def test_every_weight_moves_by_the_learning_rate() -> None:
    params = ParamVector(LAYOUT, np.zeros(17))
    grads = params.map(lambda flat: np.geomspace(1e-12, 1e3, 17) * np.where(np.arange(17) % 2, 1.0, -1.0))
    Lion(params, lr=0.25, weight_decay=0.0).step(grads)
    np.testing.assert_array_equal(params.flat, -0.25 * np.sign(grads.flat))


def test_the_moment_is_at_least_float32() -> None:
    for dtype, expected in (("float16", "float32"), ("float32", "float32"), ("float64", "float64")):
        assert Lion(ParamVector(LAYOUT, np.zeros(17, dtype=dtype))).m.flat.dtype == expected


@pytest.mark.parametrize("bad", [{"lr": -1.0}, {"betas": (0.9, 1.0)}, {"weight_decay": -0.1}])
def test_bad_hyperparameters_are_named(bad: dict) -> None:
    with pytest.raises(sg.InputError, match=next(iter(bad))):
        Lion(ParamVector(LAYOUT, np.zeros(17)), **bad)


@pytest.mark.parametrize("fault", LION_FAULTS, ids=ids(LION_FAULTS))
def test_a_wrong_lion_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    patched = patched_module(f"scratchgpt.{fault.module}", fault.old, fault.new)
    monkeypatch.setattr(formula, "update", patched.update)
    with pytest.raises(AssertionError):
        assert_follows_the_definition(Lion)


def test_a_correct_lion_passes_when_patched_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    patched = patched_module("scratchgpt.ops.updates.lion", "def update(", "def update( ")
    monkeypatch.setattr(formula, "update", patched.update)
    assert_follows_the_definition(Lion)
