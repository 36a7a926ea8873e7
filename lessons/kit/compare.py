"""Compare a learner's result with the correct one: are they equal, and if not, where do they differ?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lessons.kit.variants import FLOAT32

FLOAT32_TOLERANCE = 1e-3  # relative, by norm; for float64 each exercise has its own
OK, OFF, MISSING = "ok", "WRONG", "not started"


@dataclass
class Line:
    """One result in a report.

    Attributes:
        output: the result's name.
        status: OK, OFF or MISSING.
        text: details.
        type_alone: whether the numbers are right and only their dtype is wrong.
    """

    output: str
    status: str
    text: str = ""
    type_alone: bool = False


def distance(found: Any, expected: Any) -> float:
    """Return the relative error by norm; infinite if shapes differ or a number is not finite."""
    try:
        found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    except (TypeError, ValueError):  # not numbers at all
        return math.inf
    if found.shape != expected.shape or not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return math.inf
    scale = max(float(np.linalg.norm(expected)), 1e-30)
    return float(np.linalg.norm(found - expected)) / scale


def compare(mine: Mapping[str, Any], right: Mapping[str, Any], case: str, tolerance: float) -> list[Line]:
    """Return a line for each expected result.

    Args:
        mine: the learner's results by name.
        right: the correct results by name.
        case: the name of the case.
        tolerance: the largest relative error of a correct float64 result.
    """
    return [
        _line(output, mine[output], expected, case == FLOAT32, tolerance)
        if output in mine
        else Line(output, MISSING)
        for output, expected in right.items()
    ]


def _line(output: str, found: Any, expected: Any, float32: bool, tolerance: float) -> Line:
    if found is None:
        return Line(output, OFF, "is None; is it computed and returned?")
    if _shape(found) != np.shape(expected):
        return Line(output, OFF, f"has shape {_shape(found)}, expected {np.shape(expected)}")
    error, wrong_type = distance(found, expected), _wrong_type(found, expected)
    if wrong_type:
        close = error < FLOAT32_TOLERANCE
        return Line(output, OFF, wrong_type if close else f"{wrong_type}; {_worst(found, expected)}", close)
    if error > (FLOAT32_TOLERANCE if float32 else tolerance):
        return Line(output, OFF, _worst(found, expected))
    return Line(output, OK, _agreement(error, float32))


def _shape(found: Any) -> Any:
    try:
        return np.shape(found)
    except ValueError:  # a list of parts that differ in shape
        return "that varies"


def _wrong_type(found: Any, expected: Any) -> str:
    """Return what is wrong with the dtype of an array; empty if nothing is."""
    wanted, given = np.asarray(expected).dtype, np.asarray(found).dtype
    return f"has dtype {given}, expected {wanted}" if np.ndim(expected) and wanted != given else ""


def _worst(found: Any, expected: Any) -> str:
    """Return the entry with the largest error."""
    try:
        found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    except (TypeError, ValueError):
        return f"is a {type(found).__name__}, expected a number"
    if found.ndim == 0:
        return _side_by_side(float(found), float(expected))
    off = np.where(np.isfinite(found), np.abs(found - expected), np.inf)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
    return f"{_side_by_side(found[index], expected[index])} at {list(index)}"


def _side_by_side(found: float, expected: float) -> str:
    """Return two numbers with six digits each, or with as many as it takes to see that they differ."""
    digits = next((n for n in (6, 9, 12) if f"{found:.{n}g}" != f"{expected:.{n}g}"), 17)
    return f"yours {found:.{digits}g}, expected {expected:.{digits}g}"


def _agreement(error: float, float32: bool) -> str:
    """Return how well a result agrees, in no more digits than its type has."""
    kind, most = (" (in float32)", 7) if float32 else ("", 15)
    if error == 0.0:
        return f"equal{kind}"
    return f"agrees to {min(most, int(-math.log10(error)))} digits{kind}"
