"""Known mistakes, planted one at a time: each is caught, and named as itself and as nothing else."""

from collections.abc import Iterable

import pytest

from lessons.kit.mutations import mutations
from lessons.specs import EXERCISES

QUICK = (3,)  # checked in every test run


@pytest.mark.parametrize(
    "numbers",
    [QUICK, pytest.param(set(EXERCISES) - set(QUICK), marks=pytest.mark.slow)],
    ids=["lesson 3", "all others"],
)
def test_every_known_mistake_is_caught_and_named_as_itself(numbers: Iterable[int]) -> None:
    table = list(mutations(numbers))
    assert {row.lesson for row in table} == set(numbers)
    assert [row.fault for row in table if not row.caught] == []
    assert [(row.fault, row.names) for row in table if not row.named] == []
