"""How long to train: the number of optimizer steps, given directly or as epochs or tokens."""

import dataclasses
import math

from scratchgpt.data import Rows
from scratchgpt.errors import InputError
from scratchgpt.training.settings import TrainingSettings

MAX_STEPS = 2**31


def with_steps(training: TrainingSettings, rows: Rows) -> TrainingSettings:
    """Return the settings with `max_steps` set to what `max_epochs` or `max_tokens` amount to.

    If both are given, the one reached first decides; if neither is, `max_steps` stays. An epoch is one pass
    over the rows of the training text. A row counts block_size tokens, padding included. The last step is the
    one that completes the budget.

    Raises:
        InputError: the budget amounts to 2**31 steps or more.
    """
    budgets = {}
    if training.max_epochs is not None:
        budgets["max_epochs"] = training.max_epochs * len(rows) / training.batch_size
    if training.max_tokens is not None:
        budgets["max_tokens"] = training.max_tokens / (training.batch_size * rows.block_size)
    if not budgets:
        return training
    name, steps = min(budgets.items(), key=lambda budget: budget[1])
    if steps >= MAX_STEPS:
        given = getattr(training, name)
        raise InputError(f"training.{name} = {given} amounts to {steps:.3g} steps; the limit is 2**31")
    return dataclasses.replace(training, max_steps=max(1, math.ceil(steps)))
