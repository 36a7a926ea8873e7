"""AdamW and clipping; what all optimizers share: the factory, checkpoints, skipped steps."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.backends.numpy import adamw as adamw_module
from scratchgpt.backends.numpy import clip as clip_module
from scratchgpt.checkpoint import load_training_state, load_weights, save_training_state
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.ops.updates import clip
from scratchgpt.optim import OPTIMIZERS, Lion, Muon, Optimizer, default_hyperparameters, make_optimizer
from tests.support.adamw_by_hand import adamw
from tests.support.project import CPU_BACKENDS

LAYOUT = [Param("matrix", (3, 4), std=1.0), Param("vector", (5,), std=1.0)]
BETAS, EPS, DECAY = (0.9, 0.95), 1e-3, 0.3
RATES = [0.1, 0.05, 0.2, 0.1]
MODEL = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8, tie_weights=False))


def assert_follows_the_definition(optimizer_class: type[sg.AdamW], backend: Backend | None = None) -> None:
    """Compare four steps element by element, with gradients from tiny to large and decay on matrices only."""
    params = ParamVector.initial(LAYOUT, seed=0, dtype="float64")
    start = params.copy()
    rng = np.random.default_rng(1)
    scales = 10.0 ** rng.uniform(-6, 2, params.size)
    gradients = [params.map(lambda flat: rng.standard_normal(flat.shape) * scales) for _ in RATES]
    settings = {"lr": 123.0, "betas": BETAS, "eps": EPS, "weight_decay": DECAY, "backend": backend}
    optimizer = optimizer_class(params, **settings)
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


def test_adamw_follows_the_definition(backend: Backend) -> None:
    assert_follows_the_definition(sg.AdamW, backend)


@pytest.mark.parametrize("block", [1, 5, 16])  # 8 parts of 3 blocks, 4 of one, 2 of one
def test_adamw_in_blocks_smaller_than_the_vector(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(adamw_module, "ELEMENTS_PER_BLOCK", block)
    assert_follows_the_definition(sg.AdamW)


def test_the_first_step_has_the_size_of_the_learning_rate() -> None:
    params = ParamVector(LAYOUT, np.zeros(17))
    sg.AdamW(params, lr=0.1, weight_decay=0.0).step(params.map(lambda flat: np.full_like(flat, -3.0)))
    np.testing.assert_allclose(params.flat, 0.1, rtol=1e-8)


def test_moments_are_at_least_float32() -> None:
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


def test_clipping_in_parts_gives_the_same_norm_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clip_module, "MIN_ELEMENTS_FOR_THREADS", 1)
    gradient = np.random.default_rng(0).standard_normal(1003).astype(np.float32)
    expected = gradient.copy()
    norm = clip.clip(expected, 2.0)
    found = []
    for threads in (1, 2, 4):
        clipped = gradient.copy()
        found.append(sg.get_backend("numpy", threads).clip(clipped, 2.0))
        np.testing.assert_allclose(clipped, expected, rtol=1e-6)
    assert found == [pytest.approx(norm, rel=1e-6)] * 3
    assert len(set(found)) == 1
    assert math.isnan(sg.get_backend("numpy", 2).clip(np.full(9, np.nan, np.float32), 2.0))


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


def random_steps(optimizer: Optimizer, n_steps: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for gradient in rng.standard_normal((n_steps, optimizer.params.size)).astype("float32"):
        optimizer.step(ParamVector(optimizer.params.layout, gradient), lr=1e-2)


def everything(optimizer: Optimizer) -> list[np.ndarray]:
    return [optimizer.params.flat, *(vector.flat for vector in optimizer.vectors.values())]


def test_the_factory_gives_each_optimizer_its_own_defaults() -> None:
    made = {name: make_optimizer(name, MODEL.init()) for name in OPTIMIZERS}
    assert [type(optimizer) for optimizer in made.values()] == [sg.AdamW, Lion, Muon]
    assert [optimizer.name for optimizer in made.values()] == ["adamw", "lion", "muon"]
    hyperparameters = {
        name: [getattr(optimizer, key, None) for key in ("lr", "betas", "eps", "weight_decay")]
        for name, optimizer in made.items()
    }
    assert hyperparameters == {
        "adamw": [1e-3, (0.9, 0.95), 1e-8, 0.1],
        "lion": [3e-4, (0.9, 0.99), None, 0.3],
        "muon": [1e-3, (0.9, 0.95), 1e-8, 0.1],
    }
    backend = sg.get_backend("reference")
    asked = make_optimizer("muon", MODEL.init(), backend, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.0)
    assert (asked.backend, asked.betas, asked.eps, asked.weight_decay) == (backend, (0.8, 0.9), 1e-3, 0.0)


def test_the_factory_names_what_it_refuses() -> None:
    with pytest.raises(sg.InputError, match="optimizer is 'adam'; expected one of adamw, lion, muon"):
        make_optimizer("adam", MODEL.init())
    with pytest.raises(sg.InputError, match="optimizer is 'adam'; expected one of adamw, lion, muon"):
        default_hyperparameters("adam")
    with pytest.raises(
        sg.InputError, match="eps is 1e-08, but optimizer 'lion' does not use one; leave it out"
    ):
        make_optimizer("lion", MODEL.init(), eps=1e-8)


@pytest.mark.parametrize("backend_name", CPU_BACKENDS)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_step_without_a_finite_norm_changes_nothing(name: str, backend_name: str, value: float) -> None:
    optimizer = make_optimizer(name, MODEL.init(), sg.get_backend(backend_name))
    random_steps(optimizer, 2)
    before = [array.copy() for array in everything(optimizer)]
    grads = optimizer.params.map(np.ones_like)
    grads.flat[3] = value
    optimizer.step(grads)
    for found, expected in zip(everything(optimizer), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_step_is_told_to_the_backend(name: str, backend: Backend) -> None:
    """The loss scale of float16 depends on it."""
    norms: list[float] = []
    optimizer = make_optimizer(name, MODEL.init(), backend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "update_loss_scale", norms.append)
        random_steps(optimizer, 2)
        optimizer.step(optimizer.params.map(lambda flat: np.full_like(flat, np.inf)))
    assert len(norms) == 3
    assert norms[0] == pytest.approx(math.sqrt(MODEL.size), rel=0.1)
    assert not math.isfinite(norms[2])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_optimizer_continues_exactly(name: str, tmp_path: Path) -> None:
    straight, first, second = (make_optimizer(name, MODEL.init(seed)) for seed in (1, 1, 2))
    random_steps(straight, 3)
    random_steps(straight, 2, seed=1)
    random_steps(first, 3)
    save_training_state(tmp_path / "s.safetensors", first, {"step": 3})
    metadata = load_training_state(tmp_path / "s.safetensors", MODEL, second)
    assert (metadata["step"], second.t) == (3, 3)
    random_steps(second, 2, seed=1)
    for found, expected in zip(everything(second), everything(straight), strict=True):
        np.testing.assert_array_equal(found, expected)
    weights, _ = load_weights(tmp_path / "s.safetensors", MODEL)  # moments do not get in the way
    np.testing.assert_array_equal(weights.flat, first.params.flat)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("other", OPTIMIZERS)
def test_the_moments_of_another_optimizer_are_refused(name: str, other: str, tmp_path: Path) -> None:
    saved, loading = make_optimizer(name, MODEL.init(1)), make_optimizer(other, MODEL.init(2))
    save_training_state(tmp_path / "s.safetensors", saved, {})
    if name == other:
        load_training_state(tmp_path / "s.safetensors", MODEL, loading)
        return
    with pytest.raises(sg.InputError, match=f"optimizer is '{other}'; expected '{name}', whose moments"):
        load_training_state(tmp_path / "s.safetensors", MODEL, loading)
    np.testing.assert_array_equal(loading.params.flat, MODEL.init(2).flat)


def test_a_state_without_a_moment_changes_nothing(tmp_path: Path) -> None:
    saved, path = make_optimizer("muon", MODEL.init(1)), tmp_path / "s.safetensors"
    random_steps(saved, 1)
    tensors = {f"muon.m.{name}": view for name, view in saved.m.items()} | dict(saved.params.items())
    save_file(tensors, path, {"scratchgpt": json.dumps({"version": 1, "muon.t": 1})})
    loading = make_optimizer("muon", MODEL.init(2))
    with pytest.raises(sg.InputError, match=r"has no tensor 'muon\.v\.wte\.weight'"):
        load_training_state(path, MODEL, loading)
    np.testing.assert_array_equal(loading.params.flat, MODEL.init(2).flat)
    assert not loading.m.flat.any()


def test_the_files_of_adamw_have_not_changed_since_it_was_the_only_optimizer(tmp_path: Path) -> None:
    optimizer, path = sg.AdamW(MODEL.init(1)), tmp_path / "s.safetensors"
    random_steps(optimizer, 3)
    tensors = dict(optimizer.params.items())
    tensors |= {f"adamw.m.{name}": view for name, view in optimizer.m.items()}
    tensors |= {f"adamw.v.{name}": view for name, view in optimizer.v.items()}
    content = {"version": 1, "step": 3, "adamw.t": 3, "backend": {}}
    save_file(tensors, tmp_path / "old", {"scratchgpt": json.dumps(content)})
    save_training_state(path, optimizer, {"step": 3})
    new = load_file(path)
    assert new.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(new[name], tensor, err_msg=name)
    resumed = sg.AdamW(MODEL.init(2))
    load_training_state(tmp_path / "old", MODEL, resumed)
    for found, expected in zip(everything(resumed), everything(optimizer), strict=True):
        np.testing.assert_array_equal(found, expected)
