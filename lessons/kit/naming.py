"""What a wrong result is: a known mistake, one in another's place, terms or factors, or not known."""

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
from lessons.kit.factors import SAME, fit, ratio
from lessons.kit.files import Fault

ROUNDING = 1e-10  # relative: a mistake that changes a result by no more than this does not show in it


@dataclass
class Name:
    """What is known about wrong results.

    Attributes:
        faults: the known mistakes that give these very numbers, one or two; empty if none does.
        outputs: the results that they explain.
        places: what belongs in each other's place, such as {"dq": "dv", "dv": "dq"}.
        fits: sentences about terms and their factors, by result.
        ratios: sentences about a constant factor, by result.
        broken: what should hold for these results and does not.
    """

    faults: tuple[Fault, ...] = ()
    outputs: tuple[str, ...] = ()
    places: dict[str, str] = field(default_factory=dict)
    fits: dict[str, str] = field(default_factory=dict)
    ratios: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def name(
    exercise: Exercise, cases: list[Case], mine: list[Outputs], right: list[Outputs], wrong: list[str],
    passed: Sequence[Case] = (),
) -> Name:  # fmt: skip
    """Say what the wrong results of the learner are, given theirs and the right ones for each case.

    In the cases of `passed` the learner is right, so that a mistake that shows there is not the learner's.
    """
    found = Name()
    found.faults, found.outputs = _match(exercise, cases, mine, right, wrong, passed)
    if len(found.outputs) < len(wrong):
        found.places = _places(mine[0], right[0], wrong)
    if found.places:  # right numbers in wrong places are no mistake in a formula
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
            continue  # the law speaks of a result of the right shape
        is_rounded = np.asarray(mine[0][output]).dtype == np.float32  # then no sum is 0 to nine digits
        if not is_rounded and not _holds(holds, cases[0], mine[0]):
            found.broken.append(sentence)
    return found


def _places(mine: Outputs, right: Outputs, wrong: list[str]) -> dict[str, str]:
    """Return which right result each wrong one is, if they have only changed places."""
    places = {
        output: other
        for output in wrong
        for other in wrong
        if other != output and distance(mine[output], right[other]) < SAME
    }
    return places if places and set(places) == set(places.values()) else {}


def _holds(holds: Invariant, case: Case, outputs: Outputs) -> bool:
    """Return whether an invariant holds; of a result that it cannot read it says nothing."""
    try:
        return holds(case, outputs)
    except Exception:
        return True


def _match(
    exercise: Exercise, cases: list[Case], mine: list[Outputs], right: list[Outputs], wrong: list[str],
    passed: Sequence[Case],
) -> tuple[tuple[Fault, ...], tuple[str, ...]]:  # fmt: skip
    """Return the mistakes whose results are the learner's, and which results they explain."""
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


def _passes(exercise: Exercise, chosen: tuple[Fault, ...], passed: Sequence[Case]) -> bool:
    """Return whether the answer with these mistakes planted is right where the learner is."""
    faulty, right = _faulty(exercise.number, chosen), files.answer(exercise.number)
    with np.errstate(all="ignore"):
        return all(
            distance(_results(exercise, faulty, case).get(output), value) < exercise.tolerance
            for case in passed
            for output, value in exercise.run(right, case)
        )


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
    effect = distance(theirs, right)
    limit = SAME if effect < ROUNDING else min(SAME, max(0.1 * ROUNDING, 0.01 * effect))
    return distance(mine, theirs) <= limit or _both_broken(mine, theirs, right)


def _shows(theirs: Any, right: Any, case: Case) -> bool:
    """Return whether a mistake shows in its result: not if it changes nothing, or gives 0 or dy."""
    if distance(theirs, right) < ROUNDING or not np.any(np.asarray(theirs)):
        return False
    return not (np.shape(case.dy) == np.shape(theirs) and distance(theirs, case.dy) < SAME)


def _both_broken(mine: Any, theirs: Any, right: Any) -> bool:
    """Return whether both have the same NaN and infinities in the same places, and else the same numbers."""
    if np.shape(mine) != np.shape(theirs) or np.shape(mine) != np.shape(right):
        return False
    mine, theirs = np.asarray(mine, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    finite = np.isfinite(mine)
    if finite.all() or not np.array_equal(mine[~finite], theirs[~finite], equal_nan=True):
        return False
    return distance(mine[finite], theirs[finite]) < SAME if finite.any() else True
