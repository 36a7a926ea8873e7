"""Put a learner's functions into the real model in place of the engine's, and compare the two."""

import contextlib
import copy
import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit import files
from lessons.kit.adapters import NO_DROPOUT, Attention, Dropout, Head, Pair, adamw
from lessons.kit.blame import ComparedOp, Part, places
from lessons.kit.crash import ENDED, Crash
from lessons.kit.files import Missing, is_untouched
from lessons.kit.lesson import mine
from scratchgpt import GPT, AdamW
from scratchgpt.backends import Backend, get_backend
from scratchgpt.config import GPTConfig
from scratchgpt.data import random_batch
from scratchgpt.errors import InputError
from scratchgpt.gradcheck.model_cases import awkward_params
from scratchgpt.nn.passes import loss_and_grads
from scratchgpt.ops.rng import step_rng
from scratchgpt.training.settings import RunSettings
from scratchgpt.training.step import TrainingStep

ATTENTION = 10  # the exercise has no dropout
ADAMW = 14  # replaces the backend's update rather than an op

# The ops that each lesson's functions implement.
OPS: dict[int, Callable[[ModuleType], dict[str, Pair]]] = {
    2: lambda module: {"linear_cross_entropy": Head(module)},
    4: lambda module: {"linear": Pair(module)},
    5: lambda module: {"embedding": Pair(module)},
    6: lambda module: {
        "gelu_exact": Pair(module, "exact_forward", "exact_backward"),
        "gelu_tanh": Pair(module, "tanh_forward", "tanh_backward"),
    },
    8: lambda module: {"layernorm": Pair(module)},
    ATTENTION: lambda module: {"attention": Attention(module)},
    11: lambda module: {
        "split_heads": Pair(module, "split_forward", "split_backward"),
        "merge_heads": Pair(module, "merge_forward", "merge_backward"),
    },
    13: lambda module: {"dropout": Dropout(module)},
}
GRAFTABLE = (*OPS, ADAMW)  # lessons whose functions are a part of the model or its training
N_STEPS = 10
SAME_LOSS = 1e-9  # nats
NO_LAYER_WRONG = "no single layer is wrong"


def graft(backend: Backend, wanted: str) -> Backend:
    """Return a copy of the backend with the learner's functions in its table.

    Args:
        backend: provides all other functions.
        wanted: lesson numbers, e.g. "4,5,8", or "all" for every exercise that is started.

    Raises:
        Missing: a lesson has no part of the model, or its exercise is not started or lacks a function.
    """
    replaced: dict[str, Any] = {}
    grafted = copy.copy(backend)
    for number in _numbers(wanted):
        module = mine(number, f"leave out lesson {number}")
        if number == ADAMW:
            vars(grafted)["adamw"] = adamw(module)
        else:
            replaced |= _ops(number, module)
    grafted.ops = dataclasses.replace(backend.ops, **replaced)
    return grafted


def in_training(wanted: str, settings: RunSettings, backend: Backend) -> Backend:
    """Return a run's backend with the learner's functions, and print whether they train like the engine's.

    Args:
        wanted: lesson numbers, e.g. "4,5,8", or "all" for every exercise that is started.
        settings: the settings of the run.
        backend: provides all other functions.

    Raises:
        InputError: as `graft`, or the learner's functions raise an exception.
    """
    config = GPTConfig.from_dict(settings.model | {"vocab_size": settings.model.get("vocab_size") or 64})
    try:
        if config.dropout > 0.0 and ATTENTION in _numbers(wanted):
            raise Missing(NO_DROPOUT)
        wanted = ",".join(map(str, _numbers(wanted)))
        grafted = graft(backend, wanted)
        off = difference(wanted, config)
        blamed = "" if off < SAME_LOSS else blame(wanted, config)
    except Missing as error:
        raise InputError(str(error)) from None
    except ENDED as error:
        raise InputError(f"{whose(wanted)}: {_cause(error, wanted, config)}") from None
    print(
        f"{whose(wanted)}, over {N_STEPS} steps in float64 the loss differs from the engine's "
        f"by at most {off:.1e} nats"
    )
    if blamed:
        print(f"walking back from the loss: {blamed}")
    return grafted


def whose(wanted: str) -> str:
    """Return whose functions are meant, e.g. "with your functions of lessons 4, 5, 8"."""
    numbers = _numbers(wanted)
    return f"with your functions of lesson{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _cause(error: BaseException, wanted: str, config: GPTConfig) -> str:
    """Return what causes an error: the first wrong layer, or else the learner's line that raised it.

    In this order, since a wrong gradient may make another lesson's functions raise.
    """
    with contextlib.suppress(*ENDED):
        if (blamed := blame(wanted, config)) != NO_LAYER_WRONG:
            return blamed
    if located := line_of(error, wanted):
        return located
    checks = " or ".join(f"check {number}" for number in _numbers(wanted))
    return f"{type(error).__name__}: {error}; run: python -m lessons {checks}"


def line_of(error: BaseException, wanted: str) -> str:
    """Return which line of the learner's raised an error, on one line of text; empty if none did."""
    for number in _numbers(wanted):
        crash = Crash(error, files.exercise_path(number))
        if crash.is_located:
            return f"{' '.join(crash.message().split())}; run: python -m lessons check {number}"
    return ""


def _ops(number: int, module: ModuleType) -> dict[str, Pair]:
    """Return the ops that a learner's functions implement, by name."""
    try:
        return OPS[number](module)
    except AttributeError as error:
        raise Missing(f"{files.shown(files.exercise_path(number))} has no function {error.name}") from None


def blame(wanted: str, config: GPTConfig) -> str:
    """Return the first wrong layer: first in the forward pass, else the first walking back from the loss."""
    config = _comparable(wanted, config)
    reference, where = get_backend("reference"), places(config)
    found: list[str] = []
    grafted = graft(reference, wanted)
    compared = {
        op: ComparedOp(
            Part(number, op), getattr(grafted.ops, op), getattr(reference.ops, op), where[op], found.append
        )
        for number in _numbers(wanted)
        if number != ADAMW
        for op in _ops(number, mine(number))
    }
    grafted.ops = dataclasses.replace(reference.ops, **compared)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (2, config.block_size + 1))
    model = GPT(config)
    rng = step_rng(0, 0)
    loss_and_grads(model, awkward_params(model), tokens[:, :-1], tokens[:, 1:], backend=grafted, rng=rng)
    if found:
        return found[0]
    if ADAMW in _numbers(wanted) and difference(str(ADAMW), config) >= SAME_LOSS:
        return "every layer is right; the AdamW update (lesson 14) differs from the engine's"
    return NO_LAYER_WRONG


def difference(wanted: str, config: GPTConfig) -> float:
    """Train with the learner's functions and with the engine's, in float64.

    Returns the largest difference between the losses of a step, in nats.
    """
    config = _comparable(wanted, config)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, 2000)
    losses = []
    for each in (graft(get_backend("reference"), wanted), get_backend("reference")):
        model = GPT(config)
        take_step = TrainingStep(model, AdamW(model.init(0, "float64"), backend=each), 1.0)
        for step in range(N_STEPS):
            rng = step_rng(0, step)
            take_step(*random_batch(tokens, 4, config.block_size, rng), 1e-3, rng)
        losses.append([taken.loss for taken in take_step.read()])
    return float(np.abs(np.subtract(losses[0], losses[1])).max())


def _comparable(wanted: str, config: GPTConfig) -> GPTConfig:
    """Return a config small enough to compare, with dropout if lesson 13 is to be compared.

    Not if lesson 10 is, too: its attention has no dropout, and a model has one rate for all layers.
    """
    numbers = _numbers(wanted)
    dropout = 0.2 if 13 in numbers and ATTENTION not in numbers else 0.0
    return dataclasses.replace(config, dropout=dropout, block_size=min(config.block_size, 32))


def _numbers(wanted: str) -> list[int]:
    if wanted == "all":
        started = [number for number in GRAFTABLE if not is_untouched(number)]
        if not started:
            raise Missing("no exercise of a part of the model is started; write one first, e.g. lesson 4")
        return started
    parts = [part.strip() for part in wanted.split(",")]
    for part in parts:
        if not part.isdecimal() or int(part) not in GRAFTABLE:
            known = ", ".join(map(str, GRAFTABLE))
            raise Missing(f"cannot train with lesson {part!r}; expected some of {known}, e.g. 4,5,8, or all")
    return [int(part) for part in parts]
