"""Check the fields of a settings dataclass against their annotations."""

import dataclasses
import difflib
import functools
import math
import numbers
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from scratchgpt.errors import InputError
from scratchgpt.utils.words import any_of

Settings = TypeVar("Settings")
TYPES = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "text",
    list[str]: "a list of texts such as [a, b]",
    tuple[int, ...]: "a list of whole numbers such as [1, 2]",
    dict[int | str, float]: "a mapping from tokens to numbers such as {13: -5, the: 2.5}",
}


def check_types(settings: Any, section: str = "") -> None:
    """Check every field of a dataclass against its annotation, and convert numbers to int or float.

    Raises:
        InputError: a field has the wrong type, or is a number that is not finite.
    """
    for name, hint in _hints(type(settings)).items():  # type: ignore[arg-type]  # a class is hashable
        value = getattr(settings, name)
        if hint in (int, int | None) and isinstance(value, numbers.Integral) and not isinstance(value, bool):
            object.__setattr__(settings, name, int(value))
        elif not _fits(value, hint):
            raise InputError(f"{section}{name} is {value!r}; expected {describe_type(hint)}")
        elif hint in (float, float | None) and value is not None:
            object.__setattr__(settings, name, float(value))  # a NumPy float64 would promote float32 arrays


def from_mapping(cls: type[Settings], values: Mapping[str, Any], section: str = "") -> Settings:
    """Build a settings dataclass from a mapping of its fields.

    Raises:
        InputError: an unknown key (the message suggests the nearest field) or a bad value.
    """
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"unknown option {section + str(key)!r}{nearest(str(key), known, section)}")
    return cls(**values)


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return "; did you mean ...?" with the name in `known` closest to `word`, or else list them all."""
    known = list(known)
    if found := closest(word, known):
        return f"; did you mean {prefix + found!r}?"
    return f"; expected one of {', '.join(prefix + name for name in known)}"


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that is spelled most like `word`, or None if none is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Return the annotations of a class, cached because reading them is slower than checking them."""
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


def describe_type(hint: Any) -> str:
    """Return the values that an annotation allows, as text: "a whole number or null"."""
    return any_of(_alternatives(hint))


def _alternatives(hint: Any) -> list[str]:
    if get_origin(hint) in (Union, types.UnionType):
        return [text for arm in get_args(hint) for text in _alternatives(arm)]
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return ["null" if hint is type(None) else TYPES.get(hint, str(hint))]
