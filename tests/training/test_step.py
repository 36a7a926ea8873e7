"""A training step on the CPU equals forward, backward, clipping and the optimizer called one by one."""

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.nn.passes import quiet_overflow
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.rng import step_rng
from scratchgpt.optim import OPTIMIZERS, make_optimizer
from scratchgpt.training.step import TrainingStep

CONFIG = sg.GPTConfig(vocab_size=13, block_size=8, n_layer=1, n_head=2, n_embd=8)


def test_ignored_targets_count_neither_in_the_loss_nor_in_the_gradient(backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    tokens = np.random.default_rng(0).integers(0, 13, (3, 9))
    x, y = tokens[:, :-1], tokens[:, 1:].copy()
    y[1, 2:] = IGNORE_INDEX
    y[2] = IGNORE_INDEX

    params = model.init(1, "float64")
    take_step = TrainingStep(model, sg.AdamW(params, backend=backend), grad_clip=None)
    take_step(x, y, 1e-2, step_rng(1, 0))
    (taken,) = take_step.read()

    short = model.init(1, "float64")  # the targets that count, by themselves: 8 of one row, 2 of another
    losses = [sg.loss(model, short, x[:1], y[:1], backend=backend)] * 8
    losses += [sg.loss(model, short, x[1:2, :2], y[1:2, :2], backend=backend)] * 2
    np.testing.assert_allclose(taken.loss, np.mean(losses), rtol=1e-12)
    _, grads = sg.loss_and_grads(model, short, x, y, backend=backend)
    np.testing.assert_allclose(taken.grad_norm, np.linalg.norm(grads.flat), rtol=1e-12)
    sg.AdamW(short, backend=backend).step(grads, lr=1e-2)
    np.testing.assert_array_equal(params.flat, short.flat)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_passes_clipping_and_the_optimizer(name: str, backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    text = np.random.default_rng(0).integers(0, 13, (3, 9))
    params, by_hand = model.init(1, "float64"), model.init(1, "float64")
    take_step = TrainingStep(model, make_optimizer(name, params, backend), grad_clip=0.5)
    optimizer = make_optimizer(name, by_hand, backend)
    losses, norms = [], []
    for i in range(4):
        lr = 1e-2 / (i + 1)
        take_step(text[:, :-1], text[:, 1:], lr, step_rng(1, i))
        loss, grads = sg.loss_and_grads(model, by_hand, text[:, :-1], text[:, 1:], backend=backend)
        losses.append(loss)
        norms.append(sg.clip_grad_norm(grads, 0.5))
        optimizer.step(grads, lr)
    taken = take_step.read()
    np.testing.assert_allclose([step.loss for step in taken], losses, rtol=1e-12)
    np.testing.assert_allclose([step.grad_norm for step in taken], norms, rtol=1e-12)
    np.testing.assert_allclose(params.flat, by_hand.flat, rtol=1e-9, atol=1e-12)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_exploding_step_changes_nothing(name: str, backend: Backend) -> None:
    model = sg.GPT(CONFIG)
    tokens = np.random.default_rng(0).integers(0, 13, (3, 9))
    params = model.init(1)
    params["wte.weight"][0, 0] = np.inf
    optimizer = make_optimizer(name, params, backend)
    before = params.flat.copy()
    take_step = TrainingStep(model, optimizer, grad_clip=1.0)
    with quiet_overflow():
        take_step(tokens[:, :-1], tokens[:, 1:], 1e-2, step_rng(1, 0))
    (taken,) = take_step.read()
    assert not np.isfinite(taken.grad_norm)
    np.testing.assert_array_equal(params.flat, before)
    for vector in optimizer.vectors.values():
        assert not vector.flat.any()
