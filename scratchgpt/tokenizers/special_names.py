"""The names of special tokens: what they may be, and how they are found in a text by those who allow it."""

import re
from collections.abc import Iterable, Sequence

from scratchgpt.errors import InputError


def check_names(names: Sequence[str]) -> None:
    """See that special tokens have names of their own: of two or more characters, since one alone is text.

    Raises:
        InputError: a shorter name, or one that is there twice.
    """
    for name in names:
        if len(name) < 2:
            raise InputError(f"the name of a special token is {name!r}; expected at least two characters")
        if names.count(name) > 1:
            raise InputError(f"special token {name!r} is named {names.count(name)} times; expected it once")


def names_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern that finds any of the names; where one begins with another, the longer one.

    Without names it finds nothing.
    """
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
