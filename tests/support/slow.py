"""Which parameters of a test a plain `pytest` runs, and which it leaves to CI (`-m "slow or not slow"`)."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def others_slow(values: Iterable[Any], quick: Collection[Any]) -> list[Any]:
    """Return the values for `pytest.mark.parametrize`, with all but the quick ones marked as slow.

    A tuple is a value for several arguments. A quick value that is not among the values is an error, so that
    renaming a case cannot silently make all of them slow.
    """
    values = list(values)
    missing = [value for value in quick if value not in values]
    assert not missing, f"{missing} are not among the parameters {values}"
    slow = pytest.mark.slow
    return [
        value
        if value in quick
        else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=slow)
        for value in values
    ]
