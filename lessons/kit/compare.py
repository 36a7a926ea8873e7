"""One result beside the right one: is it the same, and if not, where does it differ?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lessons.kit.variants import FLOAT32

FLOAT32_TOLERANCE = 1e-3  # relative, by norm; an exercise has its own for float64
OK, OFF, MISSING = "ok", "WRONG", "not started"


@dataclass
class Line:
    """One result.

    Attributes:
        output: its name.
        status: OK, OFF or MISSING.
        text: what there is to say.
        type_alone: whether its numbers are right, and only their type is not.
    """

    output: str
    status: str
    text: str = ""
    type_alone: bool = False


def distance(found: Any, expected: Any) -> float:
    """Return the relative error by norm; infinite where shapes differ or numbers are not finite."""
    try:
        found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    except (TypeError, ValueError):  # what is no array of numbers is far from every array
        return math.inf
    if found.shape != expected.shape or not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return math.inf
    scale = max(float(np.linalg.norm(expected)), 1e-30)
    return float(np.linalg.norm(found - expected)) / scale


def compare(mine: Mapping[str, Any], right: Mapping[str, Any], case: str, tolerance: float) -> list[Line]:
    """Return a line for each right result, given the learner's, the name of the case and a tolerance."""
    return [
        _line(output, mine[output], expected, case == FLOAT32, tolerance)
        if output in mine
        else Line(output, MISSING)
        for output, expected in right.items()
    ]


def _line(output: str, found: Any, expected: Any, float32: bool, tolerance: float) -> Line:
    if found is None:
        return Line(output, OFF, "is None; was it computed, and returned?")
    if _shape(found) != np.shape(expected):
        return Line(output, OFF, f"has shape {_shape(found)}, expected {np.shape(expected)}")
    error, kind = distance(found, expected), _type(found, expected)
    if kind:
        close = error < FLOAT32_TOLERANCE
        return Line(output, OFF, kind if close else f"{kind}; {_worst(found, expected)}", close)
    if error > (FLOAT32_TOLERANCE if float32 else tolerance):
        return Line(output, OFF, _worst(found, expected))
    return Line(output, OK, f"agrees to {_digits(error)} digits" + (" (in float32)" if float32 else ""))


def _shape(found: Any) -> Any:
    try:
        return np.shape(found)
    except ValueError:  # a list whose parts differ in shape
        return "that varies"


def _type(found: Any, expected: Any) -> str:
    """Return what is wrong with the type of an array, if anything is."""
    wanted, given = np.asarray(expected).dtype, np.asarray(found).dtype
    return f"has type {given}, expected {wanted}" if np.ndim(expected) and wanted != given else ""


def _worst(found: Any, expected: Any) -> str:
    """Return the entry that is most wrong."""
    try:
        found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    except (TypeError, ValueError):
        return f"is a {type(found).__name__}, expected a number"
    if found.ndim == 0:
        return _beside(float(found), float(expected))
    off = np.where(np.isfinite(found), np.abs(found - expected), np.inf)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
    return f"{_beside(found[index], expected[index])} at {list(index)}"


def _beside(found: float, expected: float) -> str:
    """Return two numbers with six digits each, or with as many as it takes to see that they differ."""
    digits = next((n for n in (6, 9, 12) if f"{found:.{n}g}" != f"{expected:.{n}g}"), 17)
    return f"you {found:.{digits}g}, expected {expected:.{digits}g}"


def _digits(error: float) -> int:
    return 15 if error < 1e-15 else int(-math.log10(error))
