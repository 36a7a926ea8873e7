"""Call an op and compare the shape of every array with its annotation."""

import inspect
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `function` to raise AssertionError if an argument or result does not have the annotated shape."""
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        sizes: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            match(hints.get(name), value, sizes, f"{function.__module__}: {name}")
        result = function(*args, **kwargs)
        match(hints.get("return"), result, sizes, f"{function.__module__}: result")
        return result

    return call


def match(hint: Any, value: Any, sizes: dict[str, Any], where: str) -> None:
    """Compare a value with its annotation; `sizes` holds the size of each letter seen so far."""
    origin = get_origin(hint)
    if origin is Annotated:
        match_shape(get_args(hint)[1], np.shape(value), sizes, where)
    elif origin in (Union, types.UnionType):
        if value is not None:
            arm = next(arg for arg in get_args(hint) if arg is not type(None))
            match(arm, value, sizes, where)
    elif origin is tuple:
        assert len(value) == len(get_args(hint)), f"{where}: {len(value)} values, annotated {hint}"
        for i, (part_hint, part) in enumerate(zip(get_args(hint), value, strict=True)):
            match(part_hint, part, sizes, f"{where}[{i}]")
    elif isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        assert isinstance(value, hint), f"{where}: {type(value)}, annotated {hint}"
        for name, field_hint in get_type_hints(hint, include_extras=True).items():
            nested = isinstance(field_hint, type) and issubclass(field_hint, tuple)
            # What another op saved is annotated with that op's letters.
            match(field_hint, getattr(value, name), {} if nested else sizes, f"{where}.{name}")


def match_shape(spec: str, shape: tuple[int, ...], sizes: dict[str, Any], where: str) -> None:
    """Bind the letters of `spec` to the sizes in `shape`; raise AssertionError if they do not fit."""
    letters = spec.split()
    message = f"{where} has shape {shape}, annotated {spec!r}, known sizes {sizes}"
    if letters[0] == "...":
        letters = letters[1:]
        n_leading = len(shape) - len(letters)
        assert n_leading >= 0, message
        assert sizes.setdefault("...", shape[:n_leading]) == shape[:n_leading], message
        shape = shape[n_leading:]
    assert len(letters) == len(shape), message
    for letter, size in zip(letters, shape, strict=True):
        if letter.isdigit():
            assert size == int(letter), message
        elif letter[0].isdigit():
            factor, name = int(letter[0]), letter[1:]
            assert size % factor == 0 and sizes.setdefault(name, size // factor) == size // factor, message
        else:
            assert sizes.setdefault(letter, size) == size, message
