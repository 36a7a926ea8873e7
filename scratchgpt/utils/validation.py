"""Check that the fields of a settings dataclass hold what their annotations say."""

import dataclasses
import difflib
import functools
import math
import numbers
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from scratchgpt.errors import InputError

Settings = TypeVar("Settings")


def check_types(settings: Any, section: str = "") -> None:
    """Compare every field of a dataclass with its annotation; numbers of any kind become int and float.

    Raises:
        InputError: a field of another type, or a number that is not finite.
    """
    for name, hint in _hints(type(settings)).items():  # type: ignore[arg-type]  # a class is hashable
        value = getattr(settings, name)
        if hint in (int, int | None) and isinstance(value, numbers.Integral) and not isinstance(value, bool):
            object.__setattr__(settings, name, int(value))
        elif not _fits(value, hint):
            raise InputError(f"{section}{name} is {value!r}; expected {_words(hint)}")
        elif hint in (float, float | None) and value is not None:
            object.__setattr__(settings, name, float(value))  # a NumPy float64 would promote float32 arrays


def from_mapping(cls: type[Settings], values: Mapping[str, Any], section: str = "") -> Settings:
    """Build a settings dataclass, refusing keys that no field has.

    Raises:
        InputError: an unknown key (the message names the nearest field) or a bad value.
    """
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"unknown option {section + str(key)!r}{nearest(str(key), known, section)}")
    return cls(**values)


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return '; did you mean ...?' with the known word nearest to `word`, or list them all."""
    known = list(known)
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if found:
        return f"; did you mean {prefix + found[0]!r}?"
    return f"; expected one of {', '.join(prefix + name for name in known)}"


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Read the annotations of a class; once, because that takes longer than to check them."""
    return get_type_hints(cls)


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, arm) for arm in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return isinstance(value, get_origin(hint) or hint)


def _words(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_words(arm) for arm in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(get_args(hint))
    names = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}
    names |= {list[str]: "a list of texts", dict[int | str, float]: "a mapping from tokens to numbers"}
    return "null" if hint is type(None) else names.get(hint, str(hint))
