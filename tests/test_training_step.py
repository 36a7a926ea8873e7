"""A training step, on the CPU: what it reports is what the passes and AdamW do by themselves."""

import numpy as np

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.rng import step_rng
from scratchgpt.training_step import TrainingStep

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
