"""Exercise 13: inverted dropout."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, C, Case, Exercise, Outputs, T, WrongAnswer, waves
from lessons.kit.pair import unpacked
from scratchgpt.shapes import Array

P = 0.3


class FixedGenerator:
    """A generator that always yields the same numbers, in any requested dtype."""

    def __init__(self) -> None:
        self._drawn = 0

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Return the next numbers in [0, 1)."""
        n = int(np.prod(() if size is None else size, dtype=int))
        places = np.arange(self._drawn + 1, self._drawn + n + 1)
        self._drawn += n
        golden = (np.sqrt(5.0) - 1.0) / 2.0
        numbers = (places * golden + 0.1 * np.sin(7.0 * places)) % 1.0
        # multiples of 2**-20, which float32 and float64 both represent exactly
        numbers = np.floor(numbers * 2**20) / 2**20
        return dtype(numbers[0]) if size is None else numbers.astype(dtype).reshape(size)

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Any = None) -> Any:
        """Return the next numbers in [low, high)."""
        return low + (high - low) * self.random(size)

    def binomial(self, n: int, p: float, size: Any = None) -> Any:
        """Raise WrongAnswer: masks drawn in this way cannot be compared."""
        raise WrongAnswer(
            "draw with rng.random(x.shape, dtype=np.float32), so that your mask can be compared"
        )


def cases() -> list[Case]:
    """Return 3-dimensional x and 2, a larger p, and p = 0."""
    return [
        Case("first", {"x": waves(B, T, C), "p": P}, waves(B, T, C, seed=5, mean=0.1)),
        Case("2-dimensional x", {"x": waves(T, C, seed=2), "p": P}, waves(T, C, seed=6)),
        Case("p = 0.6", {"x": waves(B, C, seed=3), "p": 0.6}, waves(B, C, seed=7)),
        Case("p = 0", {"x": waves(B, C, seed=4), "p": 0.0}, waves(B, C, seed=8)),
    ]


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield y and dx with a generator, then without one."""
    x, p = case.inputs["x"], case.inputs["p"]
    y, saved = two(module.forward(x, p, FixedGenerator()))
    if p == 0.0:
        yield "y with p = 0", y
        yield "dx with p = 0", only(module.backward(saved, case.dy))
        return
    yield "y", y
    yield "dx", only(module.backward(saved, case.dy))
    y, saved = two(module.forward(x, p, None))
    yield "y in evaluation", y
    yield "dx in evaluation", only(module.backward(saved, case.dy))


def two(value: Any) -> tuple[Any, Any]:
    """Return y and saved."""
    y, saved = unpacked(value, "forward", ("y", "saved"))
    return y, saved


def only(value: Any) -> Any:
    """Return dx, unpacked if it is in a tuple."""
    if isinstance(value, tuple):
        if len(value) != 1:
            raise WrongAnswer(f"backward returned a tuple of {len(value)}; expected (dx,)")
        return value[0]
    return value


def scalar(module: ModuleType, case: Case, inputs: dict[str, Any]) -> float:
    """Return the loss to which dx belongs; the random numbers are the same in each call."""
    y, _ = module.forward(inputs["x"], case.inputs["p"], FixedGenerator())
    return float(np.sum(y * case.dy))


def terms(case: Case) -> dict[str, Array]:
    """Return A of equation 13.4, the only term of dx."""
    kept = FixedGenerator().random(case.inputs["x"].shape) >= case.inputs["p"]
    return {"mask": np.where(kept, case.dy / (1.0 - case.inputs["p"]), 0.0)}


def zeros_are_zeros(case: Case, outputs: Outputs) -> bool:
    """Return whether the gradient of dropped elements is 0."""
    if np.shape(outputs["dx"]) != np.shape(outputs["y"]):
        return True
    return not np.asarray(outputs["dx"])[np.asarray(outputs["y"]) == 0.0].any()


def mean_is_kept(case: Case, outputs: Outputs) -> bool:
    """Return whether the kept elements are scaled by 1/(1-p)."""
    y, x, p = np.asarray(outputs["y"]), case.inputs["x"], case.inputs["p"]
    return y.shape != x.shape or bool(np.allclose(y[y != 0.0], x[y != 0.0] / (1.0 - p), rtol=1e-6))


def is_unchanged(case: Case, outputs: Outputs) -> bool:
    """Return whether evaluation returns x unchanged."""
    return np.array_equal(np.asarray(outputs["y in evaluation"]), case.inputs["x"])


EXERCISE = Exercise(
    13,
    "Dropout: noise that keeps the mean",
    ("forward", "backward"),
    cases,
    run,
    ("y",),
    {"dx": "x"},
    scalar,
    terms={"dx": terms},
    equations={"mask": "dy/(1-p) where x was kept, eq. 13.4"},
    invariants={
        "dx": ("a dropped element does not affect the loss, so its gradient must be 0", zeros_are_zeros),
        "y": ("kept elements must be scaled by 1/(1-p), so that the mean does not change", mean_is_kept),
        "y in evaluation": ("in evaluation nothing must be dropped or scaled", is_unchanged),
    },
    hints={
        "forward": (
            "Make an array of the shape of x that holds the factor of each element.",
            "A comparison gives True and False, which count as 1 and 0. Then scale.",
            "keep = rng.random(...) >= p; multiply x by keep / (1 - p), and save that factor.",
        ),
        "backward": (
            "y is x times a factor for each element. What is its derivative with respect to x?",
            "Use the factors of forward: nothing is drawn here.",
            "dx is dy times the saved mask, including the scale; without a mask it is dy.",
        ),
    },
)
