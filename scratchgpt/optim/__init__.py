"""Optimizers, gradient clipping, learning rate schedules, and the moving average of the weights."""

import inspect
from collections.abc import Callable
from typing import Any

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.nn.params import ParamVector
from scratchgpt.optim.adamw import AdamW
from scratchgpt.optim.base import Optimizer
from scratchgpt.optim.clip import clip_grad_norm
from scratchgpt.optim.ema import EMA
from scratchgpt.optim.lion import Lion
from scratchgpt.optim.muon import Muon
from scratchgpt.optim.schedule import SCHEDULES, cosine_with_warmup, learning_rate

__all__ = [
    "EMA",
    "OPTIMIZERS",
    "SCHEDULES",
    "AdamW",
    "Lion",
    "Muon",
    "Optimizer",
    "clip_grad_norm",
    "cosine_with_warmup",
    "default_hyperparameters",
    "learning_rate",
    "make_optimizer",
]

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {each.name: each for each in (AdamW, Lion, Muon)}


def default_hyperparameters(name: str) -> dict[str, Any]:
    """Return an optimizer's default betas, eps (unless it has none) and weight decay.

    They are read from the constructor's signature, so each default is written down once, in its class.

    Raises:
        InputError: if there is no optimizer of that name.
    """
    parameters = inspect.signature(_optimizer_class(name)).parameters
    return {key: parameters[key].default for key in ("betas", "eps", "weight_decay") if key in parameters}


def make_optimizer(
    name: str,
    params: ParamVector,
    backend: Backend | None = None,
    *,
    betas: tuple[float, float] | None = None,
    eps: float | None = None,
    weight_decay: float | None = None,
) -> Optimizer:
    """Return an optimizer by name; None stands for the optimizer's own default.

    Lion wants a learning rate 3 to 10 times smaller than AdamW's, Muon about the same. Muon's betas and eps
    are those of the AdamW it uses for embeddings, head and vectors.

    Args:
        name: "adamw", "lion" or "muon".
        params: the weights, on the backend's device.
        backend: runs the updates; None means `get_backend()`.
        betas: decay rates of the moments.
        eps: added to the denominator; Lion has none.
        weight_decay: decoupled weight decay, applied to matrices only.

    Raises:
        InputError: if there is no optimizer of that name, it has no eps, or a value is out of range.
    """
    create = _optimizer_class(name)
    if name == Lion.name and eps is not None:
        raise InputError(f"eps is {eps!r}, but optimizer {name!r} does not use one; leave it out")
    given: dict[str, Any] = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
    hyperparameters = {key: value for key, value in given.items() if value is not None}
    return create(params, backend=backend, **hyperparameters)


def _optimizer_class(name: str) -> Callable[..., Optimizer]:
    if name not in OPTIMIZERS:
        raise InputError(f"optimizer is {name!r}; expected one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name]
