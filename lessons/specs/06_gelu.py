"""Exercise 06: GELU in its two forms."""

import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, C, Case, D, Exercise, Outputs, T, waves
from lessons.kit.pair import unpacked
from scratchgpt.ops.erfc import erfc
from scratchgpt.shapes import Array

# Each form has its own input, so that finite differences tell them apart.
FORMS = {"exact": "x", "tanh": "x of tanh"}
LARGE = "large and small inputs"


def cases() -> list[Case]:
    """Return inputs together with their negatives, a vector, and inputs of all sizes."""
    half = waves(B, T, C // 2, seed=2)
    both = np.concatenate([half, -half], axis=-1)
    sizes = np.array([0.0, 1e-9, -1e-9, 1e-3, 5.0, -5.0, 12.0, -12.0, 40.0, -40.0, 1000.0, -1000.0])
    return [
        _case("first", both, waves(B, T, C, seed=5)),
        _case("a vector", waves(D, seed=7), waves(D, seed=8)),
        _case(LARGE, sizes, np.linspace(0.5, 2.0, len(sizes))),
    ]


def _case(name: str, x: Array, dy: Array) -> Case:
    return Case(name, dict.fromkeys(FORMS.values(), x), dy)


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield y and dx of each form that is implemented."""
    after = f", {case.name}" if case.name == LARGE else ""
    for form, source in FORMS.items():
        try:
            forward, backward = f"{form}_forward", f"{form}_backward"
            y, saved = unpacked(getattr(module, forward)(case.inputs[source]), forward, ("y", "saved"))
            yield f"y, {form}{after}", y
            (dx,) = unpacked(getattr(module, backward)(saved, case.dy), backward, ("dx",))
            yield f"dx, {form}{after}", dx
        except NotImplementedError:
            continue


def scalar(module: ModuleType, case: Case, inputs: dict[str, Any]) -> float:
    """Return the summed loss of the forms that are implemented."""
    total = 0.0
    for form, source in FORMS.items():
        try:
            y, _ = getattr(module, f"{form}_forward")(inputs[source])
        except NotImplementedError:
            continue
        total += float(np.sum(y * case.dy))
    return total


def exact_terms(case: Case) -> dict[str, Array]:
    """Return the two terms of equation 6.3."""
    x = case.inputs["x"]
    density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return {"gate": 0.5 * erfc(-x / math.sqrt(2.0)) * case.dy, "slope": x * density * case.dy}


def tanh_terms(case: Case) -> dict[str, Array]:
    """Return C and D of equation 6.6."""
    x, root = case.inputs["x of tanh"], math.sqrt(2.0 / math.pi)
    t = np.tanh(root * (x + 0.044715 * x**3))
    du = root * (1.0 + 3.0 * 0.044715 * x * x)
    return {"tanh gate": 0.5 * (1.0 + t) * case.dy, "tanh slope": 0.5 * x * (1.0 - t * t) * du * case.dy}


def mirrored(output: str, *, slope: bool) -> Callable[[Case, Outputs], bool]:
    """Return an invariant: y(x) - y(-x) = x, or for slopes that those at x and -x add up to 1."""

    def holds(case: Case, outputs: Outputs) -> bool:
        values = np.asarray(outputs[output])
        if slope:
            values = values / case.dy
        left, right = values[..., : C // 2], values[..., C // 2 :]
        found, expected = (left + right, 1.0) if slope else (left - right, case.inputs["x"][..., : C // 2])
        return bool(np.allclose(found, expected, rtol=0, atol=1e-9))

    return holds


VALUES = "Φ(x) + Φ(-x) = 1, so y(x) - y(-x) must be x"
SLOPES = "y(x) - y(-x) = x, so the slopes at x and -x must add up to 1"

EXERCISE = Exercise(
    6,
    "GELU: a nonlinearity and its slope",
    ("exact_forward", "exact_backward", "tanh_forward", "tanh_backward"),
    cases,
    run,
    tuple(f"y, {form}{after}" for after in ("", f", {LARGE}") for form in FORMS),
    {f"dx, {form}{after}": source for after in ("", f", {LARGE}") for form, source in FORMS.items()},
    scalar,
    terms={"dx, exact": exact_terms, "dx, tanh": tanh_terms},
    equations={
        "gate": "Φ(x) dy, eq. 6.3",
        "slope": "x φ(x) dy, eq. 6.3",
        "tanh gate": "(1 + tanh u)/2 dy, eq. 6.6",
        "tanh slope": "x/2 (1 - tanh² u) u' dy, eq. 6.6",
    },
    invariants={
        "y, exact": (VALUES, mirrored("y, exact", slope=False)),
        "y, tanh": (VALUES, mirrored("y, tanh", slope=False)),
        "dx, exact": (SLOPES, mirrored("dx, exact", slope=True)),
        "dx, tanh": (SLOPES, mirrored("dx, tanh", slope=True)),
    },
    hints={
        "exact_forward": (
            "y is x times a number between 0 and 1 that depends on x.",
            "That number is Φ(x) = (1 + erf(x/√2))/2, and erfc(z) = 1 - erf(z).",
            "Φ(x) = 0.5 * erfc(-x / √2): for large negative x, erfc keeps the digits that 1 + erf loses.",
        ),
        "exact_backward": (
            "y is a product of two functions of x.",
            "(x Φ)' = Φ + x Φ', and Φ' is the normal density φ.",
            "dx = dy * (Φ(x) + x * exp(-x²/2) / √(2π)).",
        ),
        "tanh_forward": (
            "Compute u first, then its tanh; keep the tanh for backward.",
            "u = √(2/π) * (x + 0.044715 x³).",
            "y = 0.5 * x * (1 + tanh(u)).",
        ),
        "tanh_backward": (
            "Again a product, and one of its factors is a composition: product rule, then chain rule.",
            "The slope of tanh u is (1 - tanh² u) u'.",
            "dx = dy * (0.5*(1 + t) + 0.5*x*(1 - t²)*u'), with u' = √(2/π)*(1 + 3*0.044715*x²).",
        ),
    },
)
