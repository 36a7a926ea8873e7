"""What happens to the weights: optimizers, clipping by the global norm, schedules, the mean of weights."""

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
    "learning_rate",
    "make_optimizer",
]

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {each.name: each for each in (AdamW, Lion, Muon)}


def make_optimizer(
    name: str,
    params: ParamVector,
    backend: Backend | None = None,
    *,
    betas: tuple[float, float] | None = None,
    eps: float | None = None,
    weight_decay: float | None = None,
) -> Optimizer:
    """Return an optimizer by its name; None means what is usual for it.

    | name  | betas       | eps  | weight decay | learning rate                       |
    |-------|-------------|------|--------------|-------------------------------------|
    | adamw | 0.9, 0.95   | 1e-8 | 0.1          |                                     |
    | lion  | 0.9, 0.99   | none | 0.3          | 3 to 10 times smaller than AdamW's  |
    | muon  | 0.9, 0.95   | 1e-8 | 0.1          | as AdamW's                          |

    Muon's betas and eps are those of the AdamW that takes care of embeddings, head and vectors.

    Raises:
        InputError: there is no such optimizer, it has no eps, or a value is out of range.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"optimizer is {name!r}; expected one of {', '.join(OPTIMIZERS)}")
    if name == Lion.name and eps is not None:
        raise InputError(f"eps is {eps!r}; expected none with optimizer {name!r}, which divides by nothing")
    given: dict[str, Any] = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
    settings = {key: value for key, value in given.items() if value is not None}
    return OPTIMIZERS[name](params, backend=backend, **settings)
