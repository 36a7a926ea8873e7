"""A learner's own functions in the place of the engine's, in the real model."""

import contextlib
import copy
import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit import files
from lessons.kit.adapters import Attention, Dropout, Head, Pair, adamw
from lessons.kit.blame import Part, Witness, places
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

ATTENTION = 10  # has no dropout
ADAMW = 14  # no op, but the backend's update

# Which op each lesson's functions are.
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
LESSONS = (*OPS, ADAMW)
STEPS = 10
SAME = 1e-9  # nats
NOTHING = "no layer is wrong by itself"


def graft(backend: Backend, wanted: str) -> Backend:
    """Return the backend with a learner's functions in its table.

    Args:
        backend: whose other functions stay.
        wanted: numbers of lessons, such as "4,5,8", or "all" for all that are written.

    Raises:
        Missing: a lesson that has no part of the model, whose exercise is not started, or lacks a function.
    """
    replaced: dict[str, Any] = {}
    grafted = copy.copy(backend)
    for number in _numbers(wanted):
        module = mine(number)
        if number == ADAMW:
            vars(grafted)["adamw"] = adamw(module)
        else:
            replaced |= _ops(number, module)
    grafted.ops = dataclasses.replace(backend.ops, **replaced)
    return grafted


def in_training(wanted: str, settings: RunSettings, backend: Backend) -> Backend:
    """Return a run's backend with the learner's functions, and say whether they train as the engine's do.

    Args:
        wanted: numbers of lessons, such as "4,5,8", or "all" for all that are written.
        settings: of the run.
        backend: whose other functions stay.

    Raises:
        InputError: as `graft`, in the words of the programs, or the learner's functions raise something.
    """
    config = GPTConfig.from_dict(settings.model | {"vocab_size": settings.model.get("vocab_size") or 64})
    try:
        if config.dropout > 0.0 and ATTENTION in _numbers(wanted):
            raise Missing("the attention of lesson 10 has no dropout; expected --model.dropout 0")
        grafted = graft(backend, wanted)
        off = difference(wanted, config)
        blamed = "" if off < SAME else blame(wanted, config)
    except Missing as error:
        raise InputError(str(error)) from None
    except ENDED as error:
        raise InputError(f"your lessons {wanted}: {_cause(error, wanted, config)}") from None
    print(f"your lessons {wanted}: {STEPS} steps in float64 differ from the engine's by {off:.1e} nats")
    if blamed:
        print(f"walking back from the loss: {blamed}")
    return grafted


def _cause(error: BaseException, wanted: str, config: GPTConfig) -> str:
    """Return where an error comes from: the first layer that is wrong, or else a line of the learner's.

    In this order, since a wrong gradient may make another lesson's functions raise.
    """
    with contextlib.suppress(*ENDED):
        if (blamed := blame(wanted, config)) != NOTHING:
            return blamed
    for number in _numbers(wanted):
        crash = Crash(error, files.exercise_path(number))
        if crash.is_located:
            return f"{' '.join(crash.words().split())}; run: python -m lessons check {number}"
    checks = " or ".join(f"check {number}" for number in _numbers(wanted))
    return f"{type(error).__name__}: {error}; run: python -m lessons {checks}"


def _ops(number: int, module: ModuleType) -> dict[str, Pair]:
    """Return the ops that a learner's functions are."""
    try:
        return OPS[number](module)
    except AttributeError as error:
        raise Missing(f"lessons/exercises/{files.exercise_path(number).name} has no {error.name}") from None


def blame(wanted: str, config: GPTConfig) -> str:
    """Return which layer is the first that is wrong: going forward, else walking back from the loss."""
    config = _comparable(wanted, config)
    reference, where = get_backend("reference"), places(config)
    found: list[str] = []
    grafted = graft(reference, wanted)
    witnesses = {
        op: Witness(
            Part(number, op), getattr(grafted.ops, op), getattr(reference.ops, op), where[op], found.append
        )
        for number in _numbers(wanted)
        if number != ADAMW
        for op in _ops(number, mine(number))
    }
    grafted.ops = dataclasses.replace(reference.ops, **witnesses)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (2, config.block_size + 1))
    model = GPT(config)
    rng = step_rng(0, 0)
    loss_and_grads(model, awkward_params(model), tokens[:, :-1], tokens[:, 1:], backend=grafted, rng=rng)
    if found:
        return found[0]
    if ADAMW in _numbers(wanted) and difference(str(ADAMW), config) >= SAME:
        return "every layer is right; the update of AdamW (lesson 14) is not the engine's"
    return NOTHING


def difference(wanted: str, config: GPTConfig) -> float:
    """Train ten steps in float64 with the learner's parts and the engine's; return how far losses differ."""
    config = _comparable(wanted, config)
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


def _comparable(wanted: str, config: GPTConfig) -> GPTConfig:
    """Return a config small enough to compare; with dropout if that is to be compared.

    The attention of lesson 10 has none, and a model has one share of dropout for all of its layers.
    """
    numbers = _numbers(wanted)
    dropout = 0.2 if 13 in numbers and ATTENTION not in numbers else 0.0
    return dataclasses.replace(config, dropout=dropout, block_size=min(config.block_size, 32))


def _numbers(wanted: str) -> list[int]:
    if wanted == "all":
        written = [number for number in LESSONS if not is_untouched(number)]
        if not written:
            raise Missing("no exercise of a part of the model is written yet; write one first, e.g. lesson 4")
        return written
    parts = [part.strip() for part in wanted.split(",")]
    for part in parts:
        if not part.isdigit() or int(part) not in LESSONS:
            known = ", ".join(map(str, LESSONS))
            raise Missing(f"the lessons to train with are {part!r}; expected numbers among {known}, or all")
    return [int(part) for part in parts]
