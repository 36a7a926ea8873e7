"""A learner's own functions in the place of the engine's, in the real model."""

import copy
import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.blame import Witness, places
from lessons.kit.files import Missing
from lessons.kit.lesson import mine
from scratchgpt import GPT, AdamW
from scratchgpt.backends import Backend, get_backend
from scratchgpt.config import GPTConfig
from scratchgpt.data import random_batch
from scratchgpt.errors import InputError
from scratchgpt.gradcheck.model_cases import awkward_params
from scratchgpt.passes import loss_and_grads
from scratchgpt.rng import step_rng
from scratchgpt.settings import RunSettings
from scratchgpt.training_step import TrainingStep

# Which op each lesson's functions are, by the names of forward and backward.
OPS: dict[int, dict[str, tuple[str, str]]] = {
    4: {"linear": ("forward", "backward")},
    5: {"embedding": ("forward", "backward")},
    6: {
        "gelu_exact": ("exact_forward", "exact_backward"),
        "gelu_tanh": ("tanh_forward", "tanh_backward"),
    },
    8: {"layernorm": ("forward", "backward")},
    10: {"attention": ("forward", "backward")},
    11: {
        "split_heads": ("split_forward", "split_backward"),
        "merge_heads": ("merge_forward", "merge_backward"),
    },
}
STEPS = 10
SAME = 1e-9  # nats


class Pair:
    """A learner's forward and backward, as an op."""

    def __init__(self, number: int, module: ModuleType, names: tuple[str, str]) -> None:
        self._number = number
        self._forward: Callable[..., tuple[Any, Any]] = getattr(module, names[0])
        self._backward: Callable[..., Any] = getattr(module, names[1])

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Call the learner's forward, without the dropout that no exercise asks for."""
        if self._number == 10:
            if len(args) > 3 and args[3] > 0.0 and args[4] is not None:
                raise Missing(
                    "the attention of lesson 10 has no dropout; expected --model.dropout 0 with --mine 10"
                )
            args = args[:3]
        return self._forward(*args, **kwargs)

    def backward(self, saved: Any, *args: Any) -> tuple[Any, ...]:
        """Call the learner's backward."""
        returned = self._backward(saved, *args)
        return tuple(returned) if isinstance(returned, tuple | list) else (returned,)


def graft(backend: Backend, wanted: str) -> Backend:
    """Return the backend with a learner's functions in its table.

    Args:
        backend: whose other functions stay.
        wanted: numbers of lessons, such as "4,5,8", or "all" for all that are written.

    Raises:
        Missing: a lesson that has no part of the model, or whose exercise is not started.
    """
    numbers = list(OPS) if wanted == "all" else _numbers(wanted)
    replaced: dict[str, Any] = {}
    for number in numbers:
        module = mine(number)
        replaced |= {op: Pair(number, module, names) for op, names in OPS[number].items()}
    grafted = copy.copy(backend)
    grafted.ops = dataclasses.replace(backend.ops, **replaced)
    return grafted


def in_training(settings: RunSettings, backend: Backend) -> Backend:
    """Return a run's backend with the learner's functions, and say whether they train as the engine's do.

    Raises:
        InputError: as `graft`, in the words of the programs.
    """
    assert settings.mine is not None
    config = GPTConfig.from_dict(settings.model | {"vocab_size": settings.model.get("vocab_size") or 64})
    try:
        grafted = graft(backend, settings.mine)
        off = difference(settings.mine, config)
    except Missing as error:
        raise InputError(str(error)) from None
    print(
        f"your lessons {settings.mine}: {STEPS} steps in float64 differ from the engine's by {off:.1e} nats"
    )
    if not off < SAME:
        print(f"walking back from the loss: {blame(settings.mine, config)}")
    return grafted


def blame(wanted: str, config: GPTConfig) -> str:
    """Return which layer is the first that is wrong: going forward, else walking back from the loss."""
    config = dataclasses.replace(config, dropout=0.0, block_size=min(config.block_size, 32))
    reference, where = get_backend("reference"), places(config)
    found: list[str] = []
    grafted = graft(reference, wanted)
    witnesses = {
        op: Witness(op, pair, getattr(reference.ops, op), where[op], found.append)
        for op, pair in vars(grafted.ops).items()
        if isinstance(pair, Pair)
    }
    grafted.ops = dataclasses.replace(reference.ops, **witnesses)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (2, config.block_size + 1))
    model = GPT(config)
    loss_and_grads(model, awkward_params(model), tokens[:, :-1], tokens[:, 1:], backend=grafted)
    return found[0] if found else "no layer is wrong by itself"


def difference(wanted: str, config: GPTConfig) -> float:
    """Train ten steps in float64 with the learner's parts and the engine's; return how far losses differ."""
    config = dataclasses.replace(config, dropout=0.0, block_size=min(config.block_size, 32))
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, 2000)
    losses = []
    for each in (graft(get_backend("reference"), wanted), get_backend("reference")):
        model = GPT(config)
        take_step = TrainingStep(model, AdamW(model.init(0, "float64"), backend=each), 1.0)
        for step in range(STEPS):
            rng = step_rng(0, step)
            take_step(*random_batch(tokens, 4, config.block_size, rng), 1e-3, rng)
        losses.append([taken.loss for taken in take_step.read()])
    return float(np.abs(np.subtract(losses[0], losses[1])).max())


def _numbers(wanted: str) -> list[int]:
    parts = [part.strip() for part in wanted.split(",")]
    for part in parts:
        if not part.isdigit() or int(part) not in OPS:
            known = ", ".join(map(str, OPS))
            raise Missing(f"--mine has {part!r}; expected some of {known}, or all")
    return [int(part) for part in parts]
