"""What an exercise is: functions to write, inputs to try them on, and what is known about their results."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from scratchgpt.shapes import Array

Outputs = dict[str, Any]  # results by name: arrays or numbers


class WrongAnswer(Exception):
    """What a function returned is not of the form that was asked for; the message says what it is."""


@dataclass(frozen=True)
class Case:
    """One set of inputs.

    Attributes:
        name: what is special about it, such as "rank 2".
        inputs: arguments by name. Arrays are handed over read-only.
        dy: the gradient that comes from above, for a pair; an array, a tuple of them or a number.
    """

    name: str
    inputs: dict[str, Any]
    dy: Any = None


Runner = Callable[[ModuleType, Case], Iterator[tuple[str, Any]]]
Terms = Callable[[Case], dict[str, Array]]
Invariant = Callable[[Case, Outputs], bool]


@dataclass(frozen=True)
class Exercise:
    """An exercise; `lessons/specs/` has one for each lesson that has something to write.

    Attributes:
        number: of the lesson.
        title: what the lesson is about, in a few words.
        functions: the names that the learner writes, in the order of writing.
        cases: makes the inputs; the first case is the one that reports speak of.
        run: calls the functions of a module and yields their results, name and value, one by one.
        forward: results that come before any gradient.
        gradients: result name to the name of the input whose gradient it is: finite differences of the
            learner's own forward check these. Empty where there is no pair.
        scalar: the loss that finite differences are taken of: calls the learner's forward alone.
        terms: for a gradient, makes the named terms that add up to it: A, B, C as in the lesson.
        equations: for a term, what it is, such as "B = -mean(h)/σ, eq. 8.5".
        invariants: sentences that must hold, each with a function that says whether they do.
        tolerance: the relative error, by norm, up to which a result in float64 is right; larger only where
            right formulas differ by more than rounding.
        ratios: numbers that a wrong factor may be, with their names; None takes the usual sizes.
        hints: three for each function, from a nudge to nearly the answer.
    """

    number: int
    title: str
    functions: tuple[str, ...]
    cases: Callable[[], list[Case]]
    run: Runner
    forward: tuple[str, ...]
    gradients: Mapping[str, str] = field(default_factory=dict)
    scalar: Callable[[ModuleType, Case, dict[str, Any]], float] | None = None
    terms: Mapping[str, Terms] = field(default_factory=dict)
    equations: Mapping[str, str] = field(default_factory=dict)
    invariants: Mapping[str, tuple[str, Invariant]] = field(default_factory=dict)
    tolerance: float = 1e-10
    ratios: Mapping[str, float] | None = None
    hints: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)


B, T, S, H, D, C, V = 3, 5, 6, 4, 7, 28, 11  # all different, so that a wrong ratio names its cause
SIZES = {
    "B (texts)": 3.0, "T (positions)": 5.0, "B·T": 15.0, "H (heads)": 4.0, "D (channels of a head)": 7.0,
    "C (channels)": 28.0, "V (words)": 11.0, "√D": 7**0.5, "√C": 28**0.5, "1 - p": 0.7, "p": 0.3,
    "p / (1 - p)": 3.0 / 7.0, "2": 2.0, "-1": -1.0,
}  # fmt: skip


def far_scores() -> dict[str, Array]:
    """Return q, k and v whose scores are near 10⁵ for keys of the future and near -10⁵ for all others.

    A key is 1 in a channel of its own and √D is 4, so no order of the operations rounds a score.
    """
    n_channels = 16
    q = waves(B, H, T, n_channels, seed=7)
    q[..., :T] += np.where(np.tri(T, dtype=bool), -4e5, 4e5)
    k = np.zeros_like(q) + np.eye(T, n_channels)
    return {"q": q, "k": k, "v": waves(B, H, T, n_channels, seed=8)}


def waves(*shape: int, seed: float = 1.0, mean: float = 0.3) -> Array:
    """Return numbers around `mean` that look random and are the same everywhere: cosines of odd angles."""
    n = int(np.prod(shape, dtype=int))
    angles = (np.arange(1, n + 1) + 17.0 * seed) * (1.0 + np.sqrt(5.0 + seed)) ** 2
    return (1.4 * np.cos(angles) + mean).reshape(shape)
