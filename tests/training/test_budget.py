"""The number of steps that a budget in epochs or tokens amounts to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.data import Part, Rows, rows_of
from scratchgpt.errors import InputError
from scratchgpt.training.budget import with_steps
from scratchgpt.training.settings import TrainingSettings


def rows(n_tokens: int, block_size: int) -> Rows:
    return rows_of(Part.of(np.zeros(n_tokens, dtype=np.uint16)), block_size)


def steps(training: TrainingSettings, n_tokens: int = 1001, block_size: int = 10) -> int:
    return with_steps(training, rows(n_tokens, block_size)).max_steps


def test_without_another_budget_max_steps_decides() -> None:
    training = TrainingSettings(max_steps=77)
    assert with_steps(training, rows(1001, 10)) is training


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"max_epochs": 1}, 25),  # 100 rows, 4 at a time
        ({"max_epochs": 1.01}, 26),  # the last step completes the budget
        ({"max_epochs": 0.001}, 1),
        ({"max_epochs": 3}, 75),
        ({"max_tokens": 400}, 10),  # 40 tokens a step
        ({"max_tokens": 401}, 11),
        ({"max_epochs": 3, "max_tokens": 400}, 10),  # whichever is reached first
        ({"max_epochs": 0.1, "max_tokens": 400}, 3),
    ],
)
def test_a_budget_decides_instead_of_max_steps(budget: dict[str, float], expected: int) -> None:
    assert steps(TrainingSettings(max_steps=7, batch_size=4, **budget)) == expected  # type: ignore[arg-type]


@given(st.integers(1, 50), st.integers(1, 9), st.integers(30, 200), st.integers(2, 12))
def test_an_epoch_of_steps_sees_every_row(
    epochs: int, batch_size: int, n_tokens: int, block_size: int
) -> None:
    n = steps(TrainingSettings(batch_size=batch_size, max_epochs=epochs), n_tokens, block_size)
    n_rows = len(rows(n_tokens, block_size))
    assert (n - 1) * batch_size < epochs * n_rows <= n * batch_size


def test_a_budget_of_too_many_steps_is_an_error() -> None:
    with pytest.raises(
        InputError, match=r"training.max_epochs = 1e\+20 amounts to 2.5e\+21 steps; the limit is"
    ):
        steps(TrainingSettings(batch_size=4, max_epochs=1e20))


@pytest.mark.parametrize("name", ["max_epochs", "max_tokens", "max_minutes"])
def test_a_budget_is_positive(name: str) -> None:
    with pytest.raises(InputError, match=rf"training.{name} is 0.*; expected a positive number, or null"):
        TrainingSettings(**{name: 0})  # type: ignore[arg-type]
