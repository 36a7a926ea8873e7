"""Diagnose wrong results: a known mistake, swapped results, wrong terms, a wrong factor, or none of these."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit import files
from lessons.kit.compare import distance
from lessons.kit.exercise import SIZES, Case, Exercise, Invariant, Outputs
from lessons.kit.factors import SAME_FORMULA, fit, ratio
from lessons.kit.files import Fault

ROUNDING = 1e-10  # relative: a mistake that changes a result by no more than this is invisible in it


@dataclass
class Diagnosis:
    """What is known about wrong results.

    Attributes:
        faults: the one or two known mistakes that produce exactly these numbers; empty if none does.
        outputs: the results that they explain.
        swapped: results returned in each other's place, e.g. {"dq": "dv", "dv": "dq"}.
        fits: for a result, a sentence about its terms and their factors.
        ratios: for a result, a sentence about a constant factor.
        violated: sentences that should be true of these results and are not.
        wrong: all wrong results, explained or not.
    """

    faults: tuple[Fault, ...] = ()
    outputs: tuple[str, ...] = ()
    swapped: dict[str, str] = field(default_factory=dict)
    fits: dict[str, str] = field(default_factory=dict)
    ratios: dict[str, str] = field(default_factory=dict)
    violated: list[str] = field(default_factory=list)
    wrong: tuple[str, ...] = ()

    @property
    def described(self) -> set[str]:
        """The wrong results about which something is known."""
        return {*self.outputs, *self.swapped, *self.fits, *self.ratios}


def diagnose(
    exercise: Exercise, cases: list[Case], mine: list[Outputs], right: list[Outputs], wrong: list[str],
    passed: Sequence[Case] = (),
) -> Diagnosis:  # fmt: skip
    """Find out what a learner's wrong results are.

    Args:
        exercise: the exercise.
        cases: the cases in which the results are wrong.
        mine: the learner's results in each of them.
        right: the correct results in each of them.
        wrong: the names of the wrong results.
        passed: cases in which the learner is right: a mistake that shows there is not the learner's.
    """
    found = Diagnosis(wrong=tuple(wrong))
    found.faults, found.outputs = _match(exercise, cases, mine, right, wrong, passed)
    if len(found.outputs) < len(wrong):
        found.swapped = _swapped(mine[0], right[0], wrong)
    if found.swapped:  # the formulas are right, only the order is not
        found.faults, found.outputs = (), ()
        return found
    for output in wrong:
        terms = exercise.terms.get(output)
        if terms and (text := fit(mine[0][output], terms(cases[0]), exercise.equations)):
            found.fits[output] = text
        if text := ratio(mine[0][output], right[0][output], exercise.ratios or SIZES):
            found.ratios[output] = text
    for output, (sentence, holds) in exercise.invariants.items():
        if output not in wrong or np.shape(mine[0][output]) != np.shape(right[0][output]):
            continue  # an invariant is about a result of the right shape
        is_rounded = np.asarray(mine[0][output]).dtype == np.float32  # sums are not 0 to nine digits then
        if not is_rounded and not _holds(holds, cases[0], mine[0]):
            found.violated.append(sentence)
    return found


def _swapped(mine: Outputs, right: Outputs, wrong: list[str]) -> dict[str, str]:
    """Return which correct result each wrong one equals, if they are a permutation of each other."""
    places = {
        output: other
        for output in wrong
        for other in wrong
        if other != output and distance(mine[output], right[other]) < SAME_FORMULA
    }
    return places if places and set(places) == set(places.values()) else {}


def _holds(holds: Invariant, case: Case, outputs: Outputs) -> bool:
    """Return whether an invariant holds; one that raises for a malformed result counts as holding."""
    try:
        return holds(case, outputs)
    except Exception:
        return True


def _match(
    exercise: Exercise, cases: list[Case], mine: list[Outputs], right: list[Outputs], wrong: list[str],
    passed: Sequence[Case],
) -> tuple[tuple[Fault, ...], tuple[str, ...]]:  # fmt: skip
    """Return the mistakes that give the learner's results, and which results they explain."""
    best: tuple[tuple[Fault, ...], tuple[str, ...]] = ((), ())
    for chosen in _choices(files.faults(exercise.number)):
        if best[0] and len(chosen) > len(best[0]):
            break  # one mistake explains it; two are not needed
        explained = _explained(exercise, cases, mine, right, wrong, chosen)
        if len(chosen) == 2 and len(explained) < len(wrong):
            continue
        if len(explained) > len(best[1]) and _passes(exercise, chosen, passed):
            best = (chosen, tuple(explained))
    return best


def _choices(known: list[Fault]) -> Iterator[tuple[Fault, ...]]:
    yield from ((fault,) for fault in known)
    yield from itertools.combinations(known, 2)


def _explained(
    exercise: Exercise, cases: list[Case], mine: list[Outputs], right: list[Outputs], wrong: Iterable[str],
    chosen: tuple[Fault, ...],
) -> list[str]:  # fmt: skip
    """Return the wrong results that the answer with these mistakes planted reproduces in every case."""
    try:
        module = _faulty(exercise.number, chosen)
        with np.errstate(all="ignore"):
            theirs = [_results(exercise, module, case) for case in cases]
    except Exception:  # the mistake crashes, so it explains no result
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


def _passes(exercise: Exercise, chosen: tuple[Fault, ...], passed: Sequence[Case]) -> bool:
    """Return whether the answer with these mistakes planted is right where the learner is right."""
    faulty, right = _faulty(exercise.number, chosen), files.answer(exercise.number)
    with np.errstate(all="ignore"):
        return all(
            distance(_results(exercise, faulty, case).get(output), value) < exercise.tolerance
            for case in passed
            for output, value in exercise.run(right, case)
        )


def _results(exercise: Exercise, module: ModuleType, case: Case) -> Outputs:
    """Return the results of a module, up to the first exception."""
    outputs: Outputs = {}
    with contextlib.suppress(Exception):
        for output, value in exercise.run(module, case):
            outputs[output] = value
    return outputs


def _faulty(number: int, chosen: tuple[Fault, ...]) -> ModuleType:
    source = files.answer_path(number).read_text(encoding="utf-8")
    return files.module_of(files.patched(source, *chosen), "<answer with a mistake>")


def _agree(mine: Any, theirs: Any, right: Any) -> bool:
    """Return whether two wrong results are the same numbers.

    Where a mistake changes little, they must agree to a hundredth of that change.
    """
    if mine is None or theirs is None:
        return False
    effect = distance(theirs, right)
    limit = SAME_FORMULA if effect < ROUNDING else min(SAME_FORMULA, max(0.1 * ROUNDING, 0.01 * effect))
    return distance(mine, theirs) <= limit or _both_broken(mine, theirs, right)


def _shows(theirs: Any, right: Any, case: Case) -> bool:
    """Return whether a result identifies its mistake: not if it is unchanged, all 0, or dy itself."""
    if distance(theirs, right) < ROUNDING or not np.any(np.asarray(theirs)):
        return False
    return not (np.shape(case.dy) == np.shape(theirs) and distance(theirs, case.dy) < SAME_FORMULA)


def _both_broken(mine: Any, theirs: Any, right: Any) -> bool:
    """Return whether both have the same NaNs and infinities, and equal numbers elsewhere."""
    if np.shape(mine) != np.shape(theirs) or np.shape(mine) != np.shape(right):
        return False
    mine, theirs = np.asarray(mine, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    finite = np.isfinite(mine)
    if finite.all() or not np.array_equal(mine[~finite], theirs[~finite], equal_nan=True):
        return False
    return distance(mine[finite], theirs[finite]) < SAME_FORMULA if finite.any() else True
