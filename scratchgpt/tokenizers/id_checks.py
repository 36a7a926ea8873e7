"""Validation of the ids passed to a decoder."""

from collections.abc import Iterable, Iterator
from operator import index

from scratchgpt.errors import InputError


def checked_ids(ids: Iterable[int], vocab_size: int) -> Iterator[int]:
    """Yield the ids as Python ints; NumPy integers are accepted.

    Raises:
        InputError: an id that is not an integer or is outside [0, vocab_size).
    """
    for i in ids:
        try:
            number = index(i)
        except TypeError:
            raise InputError(f"token id is {i!r}; expected a whole number in [0, {vocab_size})") from None
        if not 0 <= number < vocab_size:
            raise InputError(f"token id is {number}; expected one in [0, {vocab_size})")
        yield number
