"""Against PyTorch: logits, every gradient, AdamW, clipping and single ops, in float64."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")

import scratchgpt as sg  # noqa: E402
from benchmarks import torch_gpt  # noqa: E402
from scratchgpt.backends import Backend  # noqa: E402
from scratchgpt.gradcheck.model_cases import awkward_params  # noqa: E402

pytestmark = pytest.mark.peers

CONFIGS = {
    "one block": sg.GPTConfig(11, 8, n_layer=1, n_head=1, n_embd=4),
    "tied": sg.GPTConfig(65, 32, n_layer=3, n_head=4, n_embd=48),
    "untied": sg.GPTConfig(65, 32, n_layer=2, n_head=2, n_embd=48, tie_weights=False),
    "no biases, exact GELU": sg.GPTConfig(
        65, 32, n_layer=2, n_head=6, n_embd=48, bias=False, activation="gelu_exact"
    ),
    "narrow MLP, other eps": sg.GPTConfig(
        65, 32, n_layer=2, n_head=3, n_embd=24, n_inner=7, layer_norm_epsilon=1e-2
    ),
}


def batch(config: sg.GPTConfig, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tokens, targets = rng.integers(0, config.vocab_size, (2, 5, config.block_size))
    targets[rng.random(targets.shape) < 0.1] = -100
    return tokens, targets


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_every_gradient(backend: Backend, name: str) -> None:
    config = CONFIGS[name]
    model = sg.GPT(config)
    params = awkward_params(model)
    tokens, targets = batch(config)
    loss, grads = sg.loss_and_grads(model, params, tokens, targets, backend=backend)
    logits = sg.logits(model, params, tokens, backend=backend)

    theirs = torch_gpt.tensors_of(params)
    their_logits = torch_gpt.forward(config, theirs, torch.tensor(tokens))
    their_loss = torch_gpt.loss(config, theirs, torch.tensor(tokens), torch.tensor(targets))
    their_loss.backward()
    assert relative_error(logits, their_logits.detach().numpy()) < 1e-9
    assert loss == pytest.approx(their_loss.item(), rel=1e-9)
    for key, view in grads.items():
        assert relative_error(view, theirs[key].grad.numpy()) < 1e-9, key


@pytest.mark.parametrize("name", ["tied", "untied"])
def test_ten_steps_of_adamw_with_clipping(backend: Backend, name: str) -> None:
    config = CONFIGS[name]
    model = sg.GPT(config)
    params = model.init(seed=3, dtype="float64")
    theirs = torch_gpt.tensors_of(params)
    settings = {"lr": 3e-3, "betas": (0.9, 0.95), "eps": 1e-8}
    optimizer = sg.AdamW(params, **settings, weight_decay=0.1)
    their_optimizer = torch.optim.AdamW(
        [
            {"params": [t for t in theirs.values() if t.ndim >= 2], "weight_decay": 0.1},
            {"params": [t for t in theirs.values() if t.ndim < 2], "weight_decay": 0.0},
        ],
        **settings,
    )
    for step in range(10):
        tokens, targets = batch(config, seed=step)
        _, grads = sg.loss_and_grads(model, params, tokens, targets, backend=backend)
        norm = sg.clip_grad_norm(grads, max_norm=0.5)
        optimizer.step(grads)

        their_optimizer.zero_grad()
        torch_gpt.loss(config, theirs, torch.tensor(tokens), torch.tensor(targets)).backward()
        their_norm = torch.nn.utils.clip_grad_norm_(theirs.values(), 0.5)
        their_optimizer.step()
        assert norm == pytest.approx(their_norm.item(), rel=1e-8)
    for key, view in params.items():
        assert relative_error(view, theirs[key].detach().numpy()) < 1e-8, key


def test_gelu_far_from_zero(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5, 28)) * 3
    for name, approximate in (("gelu_tanh", "tanh"), ("gelu_exact", "none")):
        y, saved = getattr(backend.ops, name).forward(x)
        (dx,) = getattr(backend.ops, name).backward(saved, y)
        theirs = torch.tensor(x, requires_grad=True)
        their_y = torch.nn.functional.gelu(theirs, approximate=approximate)
        their_y.backward(their_y.detach())
        assert relative_error(y, their_y.detach().numpy()) < 1e-12
        assert relative_error(dx, theirs.grad.numpy()) < 1e-12
