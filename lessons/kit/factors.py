"""Explain a wrong result as its named terms with wrong factors, or as the correct result times a constant."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lessons.kit.compare import distance
from lessons.kit.exercise import SIZES
from scratchgpt.shapes import Array

SAME_FORMULA = 1e-9  # relative: results that agree this well in float64 come from the same formula
OTHER_FACTOR = 1e-6  # relative: a factor that is off by more is another factor


def fit(found: Any, terms: Mapping[str, Array], equations: Mapping[str, str]) -> str:
    """Fit a result as a sum of its terms and describe the wrong factors; empty if none is or nothing fits.

    Args:
        found: the learner's result.
        terms: the terms of the correct result by name, of its shape.
        equations: the formula of each term.
    """
    if any(np.shape(term) != np.shape(found) for term in terms.values()):
        return ""
    found = np.asarray(found, dtype=np.float64)
    if not np.isfinite(found).all():
        return ""
    columns = np.stack([np.ravel(term) for term in terms.values()], axis=1)
    factors, *_ = np.linalg.lstsq(columns, found.ravel(), rcond=None)
    if distance(columns @ factors, found.ravel()) > SAME_FORMULA or not found.any():
        return ""
    if np.allclose(factors, 1.0, rtol=0, atol=1e-6):
        return ""
    factors = factors.round(9) + 0.0  # no -0
    odd = [
        f"the {term} term {_describe(factor)}{_where(equations.get(term))}"
        for factor, term in zip(factors, terms, strict=True)
        if abs(factor - 1.0) > 1e-6
    ]
    return f"{_sum_of(factors, terms)}: {'; '.join(odd)}"


def ratio(found: Any, right: Any, sizes: Mapping[str, float]) -> str:
    """Return which constant a result is off by, with its name; empty if it is not a multiple.

    A single number is a multiple of any other, so if only one entry is nonzero, the factor must have a name.
    """
    if distance(found, found) > 0.0 or np.shape(found) != np.shape(right):  # not finite, or not numbers
        return ""
    found, right = np.asarray(found, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if not found.any() or not right.any():
        return ""
    constant = float(np.vdot(found, right) / np.vdot(right, right))
    if abs(constant - 1.0) < OTHER_FACTOR or distance(found, constant * right) > SAME_FORMULA:
        return ""
    known = _known_number(constant, sizes)
    if not known and np.count_nonzero(right) == 1 and f"{constant:.6g}" not in sizes:
        return ""
    return f"the correct result times {constant:.6g}" + (f", which is {known}" if known else "")


def _sum_of(factors: Array, terms: Mapping[str, Array]) -> str:
    """Return the sum as text, e.g. "1.000 direct - 0.500 mean"."""
    parts = [
        f"{'-' if factor < 0.0 else '+'} {abs(factor):.3f} {term}"
        for factor, term in zip(factors, terms, strict=True)
    ]
    return " ".join(parts).removeprefix("+ ")


def _describe(factor: float) -> str:
    special = {0.0: "is missing", -1.0: "has the wrong sign", 2.0: "is counted twice"}
    for value, description in special.items():
        if abs(factor - value) < 1e-6:
            return description
    known = _known_number(factor, SIZES)
    return f"is multiplied by {factor:.6g}" + (f", which is {known}" if known else "")


def _where(equation: str | None) -> str:
    return f" ({equation})" if equation else ""


def _known_number(value: float, sizes: Mapping[str, float]) -> str:
    """Return the name of a constant or of its reciprocal; empty if unknown or if the name is the number."""
    for text, size in sizes.items():
        if abs(value / size - 1.0) < OTHER_FACTOR:
            return "" if text == f"{value:.6g}" else str(text)
        if abs(value * size - 1.0) < OTHER_FACTOR:
            return f"1 / ({text})" if "-" in text or "·" in text else f"1/{text}"
    return ""
