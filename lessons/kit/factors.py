"""What a wrong result is made of: named terms with wrong factors, or the right result times a constant."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lessons.kit.compare import distance
from lessons.kit.exercise import SIZES
from scratchgpt.shapes import Array

SAME = 1e-9  # relative: two formulas that agree so far in float64 are the same formula
DIFFERENT = 1e-6


def fit(found: Any, terms: Mapping[str, Array], equations: Mapping[str, str]) -> str:
    """Return which factor each term has in a result, if it is made of them and not all are 1."""
    if any(np.shape(term) != np.shape(found) for term in terms.values()):
        return ""
    found = np.asarray(found, dtype=np.float64)
    if not np.isfinite(found).all():
        return ""
    columns = np.stack([np.ravel(term) for term in terms.values()], axis=1)
    factors, *_ = np.linalg.lstsq(columns, found.ravel(), rcond=None)
    if distance(columns @ factors, found.ravel()) > SAME or not found.any():
        return ""
    if np.allclose(factors, 1.0, rtol=0, atol=1e-6):
        return ""
    factors = factors.round(9) + 0.0  # no -0
    odd = [
        f"term {term} {_factor(factor)}{_where(equations.get(term))}"
        for factor, term in zip(factors, terms, strict=True)
        if abs(factor - 1.0) > 1e-6
    ]
    return f"{_sum_of(factors, terms)}: {'; '.join(odd)}"


def ratio(found: Any, right: Any, sizes: Mapping[str, float]) -> str:
    """Return the constant that a result is wrong by, with its name; nothing if there is none.

    Any number is any other times something, so where only one is not 0, only a factor with a name counts.
    """
    if distance(found, found) > 0.0 or np.shape(found) != np.shape(right):  # not finite, or no numbers
        return ""
    found, right = np.asarray(found, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if not found.any() or not right.any():
        return ""
    constant = float(np.vdot(found, right) / np.vdot(right, right))
    if abs(constant - 1.0) < DIFFERENT or distance(found, constant * right) > SAME:
        return ""
    known = _known_number(constant, sizes)
    if not known and np.count_nonzero(right) == 1 and f"{constant:.6g}" not in sizes:
        return ""
    return f"the right one times {constant:.6g}" + (f", which is {known}" if known else "")


def _sum_of(factors: Array, terms: Mapping[str, Array]) -> str:
    """Return the sum in words, such as "1.000 A - 0.500 B"."""
    parts = [
        f"{'-' if factor < 0.0 else '+'} {abs(factor):.3f} {term}"
        for factor, term in zip(factors, terms, strict=True)
    ]
    return " ".join(parts).removeprefix("+ ")


def _factor(factor: float) -> str:
    words = {0.0: "is missing", -1.0: "has the wrong sign", 2.0: "is there twice"}
    for value, word in words.items():
        if abs(factor - value) < 1e-6:
            return word
    known = _known_number(factor, SIZES)
    return f"is multiplied by {factor:.6g}" + (f", which is {known}" if known else "")


def _where(equation: str | None) -> str:
    return f" ({equation})" if equation else ""


def _known_number(value: float, sizes: Mapping[str, float]) -> str:
    for text, size in sizes.items():
        if abs(value / size - 1.0) < DIFFERENT:
            return "" if text == f"{value:.6g}" else str(text)
        if abs(value * size - 1.0) < DIFFERENT:
            return f"1 / ({text})" if "-" in text or "·" in text else f"1/{text}"
    return ""
