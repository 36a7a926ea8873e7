"""How long to train: optimizer steps, counted directly or by what they read."""

import dataclasses
import math

from scratchgpt.data import Rows
from scratchgpt.errors import InputError
from scratchgpt.training.settings import TrainingSettings

LARGEST = 2**31  # steps


def with_steps(training: TrainingSettings, rows: Rows) -> TrainingSettings:
    """Return the settings with the `max_steps` that their budget comes to on a training text.

    `max_epochs` and `max_tokens` decide if they are given, the one that is reached first, and else
    `max_steps` stays what it is. An epoch is as many rows as the text has, a row is block_size tokens,
    padding included; the last step is the one that completes the budget.

    Raises:
        InputError: more than 2**31 steps.
    """
    budgets = {}
    if training.max_epochs is not None:
        budgets["max_epochs"] = training.max_epochs * len(rows) / training.batch_size
    if training.max_tokens is not None:
        budgets["max_tokens"] = training.max_tokens / (training.batch_size * rows.block_size)
    if not budgets:
        return training
    name, steps = min(budgets.items(), key=lambda budget: budget[1])
    if steps >= LARGEST:
        given = getattr(training, name)
        raise InputError(f"training.{name} is {given}, which is {steps:.3g} steps; expected fewer than 2**31")
    return dataclasses.replace(training, max_steps=max(1, math.ceil(steps)))
