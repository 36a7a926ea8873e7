"""What defines an exercise: functions to write, inputs to run them on, facts about the results."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from scratchgpt.shapes import Array

Outputs = dict[str, Any]  # results by name: arrays or numbers


class WrongAnswer(Exception):
    """A function returned something of the wrong form; the message says what is expected."""


@dataclass(frozen=True)
class Case:
    """One set of inputs.

    Attributes:
        name: what is special about it, e.g. "2-dimensional x".
        inputs: arguments by name. Arrays are passed read-only.
        dy: the upstream gradient of a forward/backward pair: an array, a tuple of arrays or a number.
    """

    name: str
    inputs: dict[str, Any]
    dy: Any = None


Runner = Callable[[ModuleType, Case], Iterator[tuple[str, Any]]]
Terms = Callable[[Case], dict[str, Array]]
Invariant = Callable[[Case, Outputs], bool]


@dataclass(frozen=True)
class Exercise:
    """An exercise; `lessons/specs/` defines one for each lesson.

    Attributes:
        number: the lesson's number.
        title: the lesson's title.
        functions: the names of the functions to write, in the order to write them in.
        cases: makes the inputs; reports describe the first case unless only a later one fails.
        run: calls the functions of a module and yields their results one by one, as (name, value).
        forward: names of the results that are computed before any gradient.
        gradients: maps the name of a gradient to the name of the input it belongs to; these are checked
            with finite differences of the learner's own forward. Empty if there are no gradients.
        scalar: the loss for finite differences; calls the learner's forward only.
        terms: for a gradient, computes the named terms that add up to it, as in the lesson. A name
            is no letter that stands for a size, such as C.
        equations: for a term, its formula, e.g. "-mean(dx̂)/σ, eq. 8.3".
        invariants: for a result, a sentence that must be true of it and a function that tests it.
        tolerance: largest relative error, by norm, of a correct float64 result. Larger than the default only
            where correct formulas differ by more than rounding.
        ratios: constants that a result may be wrong by, with their names; None means the usual sizes.
        hints: three per function, from a nudge to nearly the answer.
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


B, T, S, H, D, C, V = 3, 5, 6, 4, 7, 28, 11  # all different, so that a wrong ratio identifies its cause
SIZES = {
    "B (batch size)": 3.0, "T (positions)": 5.0, "B·T": 15.0, "H (heads)": 4.0, "D (channels per head)": 7.0,
    "C (channels)": 28.0, "V (vocabulary size)": 11.0, "√D": 7**0.5, "√C": 28**0.5, "1 - p": 0.7, "p": 0.3,
    "p / (1 - p)": 3.0 / 7.0, "2": 2.0, "-1": -1.0,
}  # fmt: skip


def far_scores() -> dict[str, Array]:
    """Return q, k and v whose scores are near 10⁵ for future keys and near -10⁵ for all others.

    Each key has a single 1, in its own channel, and √D is 4, so scores are exact in any order of operations.
    """
    n_channels = 16
    q = waves(B, H, T, n_channels, seed=7)
    q[..., :T] += np.where(np.tri(T, dtype=bool), -4e5, 4e5)
    k = np.zeros_like(q) + np.eye(T, n_channels)
    return {"q": q, "k": k, "v": waves(B, H, T, n_channels, seed=8)}


def waves(*shape: int, seed: float = 1.0, mean: float = 0.3) -> Array:
    """Return deterministic numbers around `mean` that look random: cosines of unrelated angles."""
    n = int(np.prod(shape, dtype=int))
    angles = (np.arange(1, n + 1) + 17.0 * seed) * (1.0 + np.sqrt(5.0 + seed)) ** 2
    return (1.4 * np.cos(angles) + mean).reshape(shape)
