"""Numbers and lists as readable text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.utils.words import any_of, compact, counted, memory_size


def test_a_count_has_its_noun_and_thousands_separators() -> None:
    assert [counted(n, "token") for n in (0, 1, 2, 2000)] == [
        "0 tokens",
        "1 token",
        "2 tokens",
        "2,000 tokens",
    ]


def test_memory_is_in_gibibytes_or_mebibytes() -> None:
    sizes = (3 << 29, 1 << 30, (1 << 30) - 1, 1 << 20, 1 << 17)
    assert [memory_size(n) for n in sizes] == ["1.5 GiB", "1.0 GiB", "1024.0 MiB", "1.0 MiB", "0.1 MiB"]


@given(st.integers(0, 10**14))
def test_a_compact_number_is_the_number_to_a_decimal(n: int) -> None:
    text = compact(n)
    size = float(text.rstrip("kMGT")) * 1000.0 ** " kMGT".find(text[-1] if text[-1] in "kMGT" else " ")
    assert math.isclose(size, n, rel_tol=0.05)
    assert len(text) <= 6


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0"), (999, "999"), (1000, "1.0k"), (999_500, "1.0M"), (2_304_000, "2.3M")]
)
def test_compact_numbers(n: int, text: str) -> None:
    assert compact(n) == text


def test_choices_are_joined_by_or() -> None:
    assert [any_of("a"), any_of("ab"), any_of("abc")] == ["a", "a or b", "a, b or c"]
