"""Finding the names of special tokens in a text, for those who allow it."""

import re
from collections.abc import Iterable


def names_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern that finds any of the names; where one begins with another, the longer one.

    Without names it finds nothing.
    """
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
