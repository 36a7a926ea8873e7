"""Check the whole model against finite differences: two blocks, in every variant of the architecture."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.config import GPTConfig
from scratchgpt.gradcheck.check import MIN_SCALE, Result
from scratchgpt.gradcheck.numerical import directional_derivative
from scratchgpt.gradcheck.op_cases import TARGETS, TOKENS, C, H, P, V
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.nn.passes import loss, loss_and_grads
from scratchgpt.shapes import Array

TOLERANCE = 1e-6
N_DIRECTIONS = 3

_config = partial(
    GPTConfig, vocab_size=V, block_size=P, n_layer=2, n_head=H, n_embd=C, layer_norm_epsilon=0.1
)

CONFIGS = {
    "tied": _config(),
    "untied": _config(tie_weights=False),
    "no biases, exact GELU": _config(bias=False, activation="gelu_exact"),
    "dropout, narrow MLP": _config(dropout=0.3, n_inner=9),
}
# Of the three tails, the second contains no target, and the last two have a single channel.
ADAPTIVE_CONFIGS = {
    "adaptive head": _config(tie_weights=False, adaptive_cutoffs=(4,), adaptive_factor=3.0),
    "adaptive head, three tails": _config(tie_weights=False, adaptive_cutoffs=(2, 5, 7), dropout=0.3),
}


def check_model(backend: Backend, name: str, model: GPT) -> Iterator[Result]:
    """Check the gradient of every parameter tensor of a model along random directions, in float64.

    Yields one result for each parameter: the error along the worst of `N_DIRECTIONS` directions. If the
    configuration has dropout, all passes use the same masks.
    """
    params = awkward_params(model)
    rng = np.random.default_rng(8)

    def dropout_rng() -> np.random.Generator:
        return np.random.default_rng(9)

    _, grads = loss_and_grads(model, params, TOKENS, TARGETS, backend=backend, rng=dropout_rng())
    grads = grads.map(backend.to_host)

    for param in model.params:

        def loss_at(values: Array, key: str = param.name) -> float:
            changed = params.copy()
            changed[key][...] = values
            return loss(model, changed, TOKENS, TARGETS, backend=backend, rng=dropout_rng())

        error, note, is_zero = 0.0, "", not grads[param].any()
        for _ in range(N_DIRECTIONS):
            direction = rng.choice((-1.0, 1.0), param.shape) * rng.uniform(0.5, 1.5, param.shape)
            direction /= np.linalg.norm(direction)  # no component is tiny, so no element's error is hidden
            found = float((grads[param] * direction).sum())
            expected = directional_derivative(loss_at, params[param], direction)
            is_zero = is_zero and expected == 0.0
            this = abs(found - expected) / max(abs(found), abs(expected), MIN_SCALE)
            if not this <= error:
                error, note = this, f"along a direction: backward {found:.6g}, differences {expected:.6g}"
        yield Result(f"model, {name}", param.name, error, TOLERANCE, note, is_zero)


def check_models(backend: Backend) -> Iterator[Result]:
    """Check the gradients of every configuration in `CONFIGS` and `ADAPTIVE_CONFIGS`."""
    for name, config in (CONFIGS | ADAPTIVE_CONFIGS).items():
        yield from check_model(backend, name, GPT(config))


def awkward_params(model: GPT, seed: int = 7) -> ParamVector:
    """Return float64 weights at which mistakes show: γ in [0.5, 1.5], everything else normal with σ = 0.5.

    With GPT-2's initial weights (σ = 0.02) attention is nearly uniform, which hides mistakes in it.
    """
    rng = np.random.default_rng(seed)
    params = model.init(dtype="float64")
    for name, view in params.items():
        is_gamma = view.ndim == 1 and name.endswith(".weight")
        view[...] = rng.uniform(0.5, 1.5, view.shape) if is_gamma else 0.5 * rng.standard_normal(view.shape)
    return params
