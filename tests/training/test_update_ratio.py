"""How far a step moves the weights of each layer."""

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.training.update_ratio import layer_of, update_ratio

CONFIG = sg.GPTConfig(vocab_size=7, block_size=5, n_layer=2, n_head=2, n_embd=4, tie_weights=False)


def test_every_layer_has_the_ratio_of_its_norms() -> None:
    model = sg.GPT(CONFIG)
    before, after = model.init(0, "float64"), model.init(1, "float64")
    ratios = update_ratio(before, after)
    assert list(ratios) == ["wte", "wpe", "h.0", "h.1", "lm_head", "ln_f"]
    for layer, ratio in ratios.items():
        names = [name for name in before if name.startswith(f"{layer}.")]
        old = np.concatenate([before[name].ravel() for name in names])
        new = np.concatenate([after[name].ravel() for name in names])
        assert ratio == pytest.approx(np.linalg.norm(new - old) / np.linalg.norm(old), rel=1e-12)
    assert {layer_of(name) for name in before} == set(ratios)


def test_a_layer_of_zeros_is_left_out_and_an_unchanged_one_has_ratio_zero() -> None:
    before = sg.GPT(CONFIG).init(0)
    before["wpe.weight"][...] = 0.0
    after = before.copy()
    after["wte.weight"][...] *= 1.5
    ratios = update_ratio(before, after)
    assert "wpe" not in ratios
    assert ratios["wte"] == pytest.approx(0.5)
    assert ratios["h.0"] == 0.0


def test_lion_moves_every_weight_by_the_learning_rate(backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    params = model.init(0).map(backend.to_device)
    before = params.copy()
    optimizer = sg.make_optimizer("lion", params, backend, weight_decay=0.0)
    tokens = np.array([[1, 2, 3, 4, 5]])
    _, grads = sg.loss_and_grads(model, params, tokens, tokens, backend=backend)
    optimizer.step(grads, lr=1e-3)
    table = before["lm_head.weight"]
    expected = 1e-3 * np.sqrt(table.size) / np.linalg.norm(table)
    assert update_ratio(before, params)["lm_head"] == pytest.approx(expected, rel=1e-3)
