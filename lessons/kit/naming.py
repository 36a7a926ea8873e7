"""What a wrong result is: a known mistake, terms with wrong factors, a constant ratio, or not known."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit import files
from lessons.kit.exercise import SIZES, Case, Exercise, Invariant, Outputs
from lessons.kit.files import Fault
from scratchgpt.shapes import Array

SAME = 1e-9  # relative: two formulas that agree so far in float64 are the same formula
DIFFERENT = 1e-6


@dataclass
class Name:
    """What is known about wrong results.

    Attributes:
        faults: the known mistakes that give these very numbers, one or two; empty if none does.
        outputs: the results that they explain.
        fits: sentences about terms and their factors, by result.
        ratios: sentences about a constant factor, by result.
        broken: what should hold for these results and does not.
    """

    faults: tuple[Fault, ...] = ()
    outputs: tuple[str, ...] = ()
    fits: dict[str, str] = field(default_factory=dict)
    ratios: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def distance(found: Any, expected: Any) -> float:
    """Return the relative error by norm; infinite where shapes differ or numbers are not finite."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if found.shape != expected.shape or not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return float("inf")
    scale = max(float(np.linalg.norm(expected)), 1e-30)
    return float(np.linalg.norm(found - expected)) / scale


def name(
    exercise: Exercise, cases: list[Case], mine: list[Outputs], right: list[Outputs], wrong: list[str]
) -> Name:
    """Say what the wrong results of the learner are, given theirs and the right ones for each case."""
    found = Name()
    found.faults, found.outputs = _match(exercise, cases, mine, right, wrong)
    for output in wrong:
        terms = exercise.terms.get(output)
        if terms and (text := _fit(mine[0][output], terms(cases[0]), exercise.equations)):
            found.fits[output] = text
        if text := _ratio(mine[0][output], right[0][output], exercise.ratios or SIZES):
            found.ratios[output] = text
    for output, (sentence, holds) in exercise.invariants.items():
        if output in wrong and not _holds(holds, cases[0], mine[0]):
            found.broken.append(sentence)
    return found


def _holds(holds: Invariant, case: Case, outputs: Outputs) -> bool:
    """Return whether an invariant holds; of a result that it cannot read it says nothing."""
    try:
        return holds(case, outputs)
    except Exception:
        return True


def _match(
    exercise: Exercise, cases: list[Case], mine: list[Outputs], right: list[Outputs], wrong: list[str]
) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """Return the mistakes whose results are the learner's, and which results they explain."""
    best: tuple[tuple[Fault, ...], tuple[str, ...]] = ((), ())
    for chosen in _choices(files.faults(exercise.number)):
        if best[0] and len(chosen) > len(best[0]):
            break  # one mistake explains it; two are not needed
        explained = _explained(exercise, cases, mine, right, wrong, chosen)
        if len(chosen) == 2 and len(explained) < len(wrong):
            continue
        if len(explained) > len(best[1]):
            best = (chosen, tuple(explained))
    return best


def _choices(known: list[Fault]) -> Iterator[tuple[Fault, ...]]:
    yield from ((fault,) for fault in known)
    yield from itertools.combinations(known, 2)


def _explained(
    exercise: Exercise, cases: list[Case], mine: list[Outputs], right: list[Outputs], wrong: Iterable[str],
    chosen: tuple[Fault, ...],
) -> list[str]:  # fmt: skip
    """Return the wrong results that the answer with these mistakes planted has, too, in every case."""
    try:
        module = _faulty(exercise.number, chosen)
        with np.errstate(all="ignore"):
            theirs = [_results(exercise, module, case) for case in cases]
    except Exception:  # a mistake may crash, and then its results are nobody's
        return []
    explained = []
    for output in wrong:
        triples = [
            (mine_here.get(output), theirs_here.get(output), right_here[output], case)
            for mine_here, theirs_here, right_here, case in zip(mine, theirs, right, cases, strict=True)
            if output in right_here
        ]
        everywhere = all(_agree(one, other, value) for one, other, value, _ in triples)
        if everywhere and any(_shows(other, value, case) for _, other, value, case in triples):
            explained.append(output)
    return explained


def _results(exercise: Exercise, module: ModuleType, case: Case) -> Outputs:
    """Return what there is before a mistake makes the answer crash."""
    outputs: Outputs = {}
    with contextlib.suppress(Exception):
        for output, value in exercise.run(module, case):
            outputs[output] = value
    return outputs


def _faulty(number: int, chosen: tuple[Fault, ...]) -> ModuleType:
    source = files.answer_path(number).read_text(encoding="utf-8")
    return files.module_of(files.patched(source, *chosen), "<answer with a mistake>")


def _agree(mine: Any, theirs: Any, right: Any) -> bool:
    """Return whether two results are the same numbers."""
    if mine is None or theirs is None:
        return False
    return distance(mine, theirs) <= SAME or _both_broken(mine, theirs, right)


def _shows(theirs: Any, right: Any, case: Case) -> bool:
    """Return whether a mistake shows in its result: not if it changes nothing, or gives 0 or dy."""
    if distance(theirs, right) < DIFFERENT or not np.any(np.asarray(theirs)):
        return False
    return not (np.shape(case.dy) == np.shape(theirs) and distance(theirs, case.dy) < SAME)


def _both_broken(mine: Any, theirs: Any, right: Any) -> bool:
    """Return whether both have NaN in the same places, and elsewhere the same numbers."""
    if np.shape(mine) != np.shape(theirs) or np.shape(mine) != np.shape(right):
        return False
    mine, theirs = np.asarray(mine, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    finite = np.isfinite(mine)
    if finite.all() or not np.array_equal(finite, np.isfinite(theirs)):
        return False
    return bool(distance(mine[finite], theirs[finite]) < SAME) if finite.any() else True


def _fit(found: Any, terms: dict[str, Array], equations: Any) -> str:
    """Return which factor each term has in a result, if it is made of them and not all are 1."""
    found = np.asarray(found, dtype=np.float64)
    if any(np.shape(term) != found.shape for term in terms.values()) or not np.isfinite(found).all():
        return ""
    columns = np.stack([np.ravel(term) for term in terms.values()], axis=1)
    factors, *_ = np.linalg.lstsq(columns, found.ravel(), rcond=None)
    if distance(columns @ factors, found.ravel()) > SAME or not found.any():
        return ""
    if np.allclose(factors, 1.0, rtol=0, atol=1e-6):
        return ""
    factors = factors.round(9) + 0.0  # no -0
    parts = " + ".join(f"{factor:.3f} {term}" for factor, term in zip(factors, terms, strict=True))
    odd = [
        f"term {term} {_factor(factor)}{_where(equations.get(term))}"
        for factor, term in zip(factors, terms, strict=True)
        if abs(factor - 1.0) > 1e-6
    ]
    return f"{parts}: {'; '.join(odd)}"


def _factor(factor: float) -> str:
    words = {0.0: "is missing", -1.0: "has the wrong sign", 2.0: "is there twice"}
    for value, word in words.items():
        if abs(factor - value) < 1e-6:
            return word
    known = _known_number(factor, SIZES)
    return f"is multiplied by {factor:.6g}" + (f", which is {known}" if known else "")


def _where(equation: str | None) -> str:
    return f" ({equation})" if equation else ""


def _ratio(found: Any, right: Any, sizes: Any) -> str:
    """Return the constant that a result is wrong by, with its name; nothing if there is none."""
    found, right = np.asarray(found, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if found.shape != right.shape or not np.isfinite(found).all() or not found.any() or not right.any():
        return ""
    constant = float(np.vdot(found, right) / np.vdot(right, right))
    if abs(constant - 1.0) < DIFFERENT or distance(found, constant * right) > SAME:
        return ""
    known = _known_number(constant, sizes)
    return f"the right one times {constant:.6g}" + (f", which is {known}" if known else "")


def _known_number(value: float, sizes: Any) -> str:
    for text, size in sizes.items():
        if abs(value / size - 1.0) < DIFFERENT:
            return "" if text == f"{value:.6g}" else str(text)
        if abs(value * size - 1.0) < DIFFERENT:
            return f"1 / ({text})" if "-" in text or "·" in text else f"1/{text}"
    return ""
