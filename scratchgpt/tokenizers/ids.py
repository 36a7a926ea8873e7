"""The ids that a decoder is given."""

from collections.abc import Iterable, Iterator
from operator import index

from scratchgpt.errors import InputError


def checked(ids: Iterable[int], vocab_size: int) -> Iterator[int]:
    """Yield ids as Python's whole numbers.

    Raises:
        InputError: something else than a whole number, or one outside [0, vocab_size).
    """
    for i in ids:
        try:
            number = index(i)
        except TypeError:
            raise InputError(f"token id is {i!r}; expected a whole number in [0, {vocab_size})") from None
        if not 0 <= number < vocab_size:
            raise InputError(f"token id is {number}; expected one in [0, {vocab_size})")
        yield number
