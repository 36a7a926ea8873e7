"""Exercise 13: inverted dropout."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit.exercise import B, C, Case, Exercise, Outputs, T, WrongAnswer, waves
from lessons.kit.pair import unpacked
from scratchgpt.shapes import Array

P = 0.3


class Numbers:
    """A generator whose numbers are the same everywhere, in whatever type they are asked for."""

    def __init__(self) -> None:
        self._drawn = 0

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Return the next numbers in [0, 1)."""
        n = int(np.prod(() if size is None else size, dtype=int))
        places = np.arange(self._drawn + 1, self._drawn + n + 1)
        self._drawn += n
        golden = (np.sqrt(5.0) - 1.0) / 2.0
        numbers = (places * golden + 0.1 * np.sin(7.0 * places)) % 1.0
        # multiples of 2**-20, so that float32 and float64 compare in the same way
        numbers = np.floor(numbers * 2**20) / 2**20
        return dtype(numbers[0]) if size is None else numbers.astype(dtype).reshape(size)

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Any = None) -> Any:
        """Return the next numbers in [low, high)."""
        return low + (high - low) * self.random(size)

    def binomial(self, n: int, p: float, size: Any = None) -> Any:
        """Refuse."""
        raise WrongAnswer(
            "draw with rng.random(x.shape, dtype=np.float32), so that all masks can be compared"
        )


def cases() -> list[Case]:
    """Return rank 3, rank 2, and another p."""
    return [
        Case("first", {"x": waves(B, T, C), "p": P}, waves(B, T, C, seed=5, mean=0.1)),
        Case("x of rank 2", {"x": waves(T, C, seed=2), "p": P}, waves(T, C, seed=6)),
        Case("p = 0.6", {"x": waves(B, C, seed=3), "p": 0.6}, waves(B, C, seed=7)),
        Case("p = 0", {"x": waves(B, C, seed=4), "p": 0.0}, waves(B, C, seed=8)),
    ]


def run(module: ModuleType, case: Case) -> Iterator[tuple[str, Any]]:
    """Run a pair with random numbers, then one without."""
    x, p = case.inputs["x"], case.inputs["p"]
    y, saved = two(module.forward(x, p, Numbers()))
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
    """Return dx, out of its tuple if it is in one."""
    if isinstance(value, tuple):
        if len(value) != 1:
            raise WrongAnswer(f"backward returned {len(value)} things; expected (dx,)")
        return value[0]
    return value


def scalar(module: ModuleType, case: Case, inputs: dict[str, Any]) -> float:
    """Return what dx is the gradient of; the random numbers are the same each time."""
    y, _ = module.forward(inputs["x"], case.inputs["p"], Numbers())
    return float(np.sum(y * case.dy))


def terms(case: Case) -> dict[str, Array]:
    """Return A of equation 13.4, which is all of dx."""
    kept = Numbers().random(case.inputs["x"].shape) >= case.inputs["p"]
    return {"A": np.where(kept, case.dy / (1.0 - case.inputs["p"]), 0.0)}


def zeros_are_zeros(case: Case, outputs: Outputs) -> bool:
    """Return whether no gradient comes back to elements that were dropped."""
    if np.shape(outputs["dx"]) != np.shape(outputs["y"]):
        return True
    return not np.asarray(outputs["dx"])[np.asarray(outputs["y"]) == 0.0].any()


def mean_is_kept(case: Case, outputs: Outputs) -> bool:
    """Return whether the elements that are not dropped are larger by 1/(1-p)."""
    y, x, p = np.asarray(outputs["y"]), case.inputs["x"], case.inputs["p"]
    return y.shape != x.shape or bool(np.allclose(y[y != 0.0], x[y != 0.0] / (1.0 - p), rtol=1e-6))


def is_passed_on(case: Case, outputs: Outputs) -> bool:
    """Return whether evaluation leaves x as it is."""
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
    equations={"A": "dy/(1-p) where x was kept, eq. 13.4"},
    invariants={
        "dx": ("what was dropped has no say in the loss, so its gradient is 0", zeros_are_zeros),
        "y": ("what is kept is scaled by 1/(1-p), so that the mean stays", mean_is_kept),
        "y in evaluation": ("in evaluation nothing is dropped and nothing is scaled", is_passed_on),
    },
    hints={
        "forward": (
            "Make an array of the shape of x that says for each element what it is multiplied by.",
            "A comparison gives True and False; as numbers they are 1 and 0. Then comes the scale.",
            "keep = rng.random(...) >= p; multiply x by keep / (1 - p), and save that factor.",
        ),
        "backward": (
            "y is x times a number for each element. What is the derivative of that by x?",
            "The factor is the one that forward used: nothing is drawn here.",
            "dx is dy times the saved mask, scale included; without a mask it is dy.",
        ),
    },
)
