"""An exercise whose functions are a forward and a backward, and checks of what functions return."""

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import Case, Exercise, WrongAnswer
from scratchgpt.shapes import Array


def pair(
    number: int,
    title: str,
    cases: Callable[[], list[Case]],
    gradients: Mapping[str, str],
    *,
    forward: str = "forward",
    backward: str = "backward",
    y: tuple[str, ...] = ("y",),
    **more: Any,
) -> Exercise:
    """Return an exercise whose functions are a forward and a backward.

    `forward(**inputs)` returns `(y, saved)`, where y is one array, or a tuple if `y` has several names;
    `backward(saved, dy)` returns the gradients in the order of `gradients`, which maps the name of each to
    that of its input.
    """

    def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
        value, saved = unpacked(getattr(module, forward)(**case.inputs), forward, (", ".join(y), "saved"))
        if len(y) == 1 and isinstance(value, tuple | list | dict):
            raise WrongAnswer(f"{forward} returned {kind(value)} as {y[0]}; expected ({y[0]}, saved)")
        yield from zip(y, value if len(y) > 1 else (value,), strict=True)
        wanted = {name: case.inputs.get(source) is not None for name, source in gradients.items()}
        before = _arrays(saved)
        given = _gradients(getattr(module, backward)(saved, case.dy), backward, wanted)
        is_changed = not _same(before, _arrays(saved))
        again = _gradients(getattr(module, backward)(saved, case.dy), backward, wanted)
        if not _same([*given.values()], [*again.values()]):
            why = (
                "it modifies what forward saved; make a new array instead"
                if is_changed
                else "does it use uninitialized numbers (np.empty) or random ones? "
                "Does it modify something that outlives the call?"
            )
            twice = f"{backward}, called twice with the same saved, returned different numbers"
            raise WrongAnswer(f"{twice}: {why}")
        yield from given.items()

    def scalar(module: ModuleType, case: Case, inputs: dict[str, Any]) -> float:
        value, _ = getattr(module, forward)(**inputs)
        parts, weights = (value, case.dy) if len(y) > 1 else ((value,), (case.dy,))
        return sum(float(np.sum(part * weight)) for part, weight in zip(parts, weights, strict=True))

    return Exercise(number, title, (forward, backward), cases, run, y, gradients, scalar, **more)


def unpacked(returned: Any, function: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Return what a function returned, after checking that it is a tuple with an entry for each name.

    Raises:
        WrongAnswer: it is not.
    """
    if not isinstance(returned, tuple) or len(returned) != len(names):
        raise WrongAnswer(f"{function} returned {kind(returned)}; expected ({', '.join(names)})")
    return returned


def kind(value: Any) -> str:
    """Describe a value: its type, and its shape or length."""
    if value is None:
        return "None (is the return missing?)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _gradients(found: Any, backward: str, wanted: Mapping[str, bool]) -> dict[str, Any]:
    """Return the gradients by name, without those whose input was not given: these must be None.

    Raises:
        WrongAnswer: it is not a tuple of the right length, or a gradient is not None where it should be.
    """
    places = [name if is_wanted else "None" for name, is_wanted in wanted.items()]
    expected = f"({places[0]},), with the comma" if len(places) == 1 else f"({', '.join(places)})"
    if not isinstance(found, tuple | list) or len(found) != len(places):
        raise WrongAnswer(f"{backward} returned {kind(found)}; expected a tuple, {expected}")
    for (name, is_wanted), gradient in zip(wanted.items(), found, strict=True):
        if gradient is not None and not is_wanted:
            unwanted = f"{kind(gradient)} as {name}, although that input was not given"
            raise WrongAnswer(f"{backward} returned {unwanted}; expected {expected}")
    # A copy, since a learner may return the same array each time.
    return {
        name: None if gradient is None else np.array(gradient)
        for (name, is_wanted), gradient in zip(wanted.items(), found, strict=True)
        if is_wanted
    }


def _arrays(thing: Any) -> list[Array]:
    """Return copies of the arrays in nested tuples, lists and dictionaries, in order; skip anything else."""
    if isinstance(thing, np.ndarray):
        return [thing.copy()]
    parts = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, tuple | list) else ()
    return [array for part in parts for array in _arrays(part)]


def _same(one: list[Any], other: list[Any]) -> bool:
    return all(
        np.array_equal(a, b, equal_nan=a is not None and a.dtype.kind == "f")
        for a, b in zip(one, other, strict=True)
    )
