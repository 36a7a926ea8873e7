"""Check one exercise: which results are right, which are wrong, where, and what the mistake is."""

from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np

from lessons.kit import files
from lessons.kit.compare import MISSING, OFF, Line, compare, distance
from lessons.kit.crash import ENDED, Crash
from lessons.kit.diagnosis import Diagnosis, diagnose
from lessons.kit.exercise import Case, Exercise, Outputs
from lessons.kit.variants import harder, read_only
from scratchgpt.gradcheck.numerical import numerical_gradient
from scratchgpt.shapes import Array

ONLY_TYPE = (
    "only the dtype is wrong: results must have the dtype of the inputs. A NumPy float64 (np.sqrt(n), "
    "np.zeros(shape), np.float64(x)) turns float32 into float64; use a Python float such as n**0.5, or "
    "dtype=x.dtype. astype(np.float32) loses digits"
)
NOT_STARTED, CRASHED, WRONG, PASSED = "not started", "crashed", "wrong", "passed"


@dataclass
class Report:
    """What a check found.

    Attributes:
        exercise: the exercise.
        path: the learner's file.
        state: NOT_STARTED, CRASHED, WRONG or PASSED.
        lines: one for each result.
        verdict: sentences about the results as a whole.
        diagnosis: what the wrong results are; None if there are none to diagnose.
    """

    exercise: Exercise
    path: Path
    state: str
    lines: list[Line] = field(default_factory=list)
    verdict: list[str] = field(default_factory=list)
    diagnosis: Diagnosis | None = None

    def outputs(self, status: str) -> list[str]:
        """Return the names of the results with a status."""
        return [line.output for line in self.lines if line.status == status]


def check(exercise: Exercise, path: Path | None = None, source: str | None = None) -> Report:
    """Check the learner's file, or a source given in its place.

    The file must run and define all functions; then each case is compared with the answer, the last two being
    non-contiguous and float32 inputs. The check stops at the first case with anything wrong.
    """
    path = path or files.exercise_path(exercise.number)
    if source is None:
        if not path.exists() or files.is_untouched(exercise.number):
            return Report(exercise, path, NOT_STARTED)
        source = path.read_text(encoding="utf-8")
    try:
        module = files.module_of(source, path)
    except ENDED as error:
        return Report(exercise, path, CRASHED, verdict=[Crash(error, path).message()])
    for function in exercise.functions:
        if not callable(getattr(module, function, None)):
            return Report(exercise, path, CRASHED, verdict=[_lacks(exercise, module, function, path)])

    learner = _Learner(exercise, module, path)
    cases = exercise.cases()
    for i, case in enumerate([*cases, *harder(cases[0])]):
        report = learner.report(case)
        if report.state != PASSED:
            if report.state == WRONG and report.outputs(OFF):
                learner.explain(report, case, cases[:i], cases[i:])
            return report
    return report


def _lacks(exercise: Exercise, module: ModuleType, function: str, path: Path) -> str:
    """Return which function is missing, and which there are: it may have another name."""
    there = [name for name, value in vars(module).items() if isinstance(value, FunctionType)]
    own = [name for name in there if vars(module)[name].__module__ == module.__name__ and name[0] != "_"]
    found = f"; found {', '.join(own)}" if own else ""
    return f"{files.shown(path)} has no function {function}; expected {', '.join(exercise.functions)}{found}"


@dataclass(frozen=True)
class _Learner:
    """The learner's functions for an exercise."""

    exercise: Exercise
    module: ModuleType
    path: Path

    def report(self, case: Case) -> Report:
        """Compare the results of a case with the answer's."""
        right = dict(self.exercise.run(files.answer(self.exercise.number), read_only(case)))
        mine: Outputs = {}
        report = Report(self.exercise, self.path, PASSED)
        seen = [] if case.name == "first" else [f"this shows only with {case.name}; simpler inputs pass"]
        try:
            self._run(case, mine)
        except Crash as crash:  # results before the crash may be wrong already
            lines = compare(mine, right, case.name, self.exercise.tolerance)
            report.lines = [line for line in lines if line.status != MISSING]
            report.state, report.verdict = CRASHED, [crash.message(), *seen]
            return report
        report.lines = compare(mine, right, case.name, self.exercise.tolerance)
        missing = report.outputs(MISSING)
        if report.outputs(OFF):
            report.state, report.verdict = WRONG, seen
        elif len(missing) == len(report.lines):
            report.state = NOT_STARTED
        elif missing:
            report.state = WRONG
            report.verdict.append(f"right so far; not started: {', '.join(missing)}")
        return report

    def explain(self, report: Report, case: Case, passed: list[Case], others: list[Case]) -> None:
        """Add to a report whether the formula or the calculus is wrong, and the diagnosis.

        Args:
            report: the report of the case.
            case: the first case with anything wrong.
            passed: the cases before it, which are right.
            others: the cases after it, and the case itself unless it is a variant of another.
        """
        mine = self._results(case)
        off = [line for line in report.lines if line.status == OFF and mine[line.output] is not None]
        if not off:
            return
        if all(line.type_alone for line in off):
            report.verdict.append(ONLY_TYPE)
            return
        exercise = self.exercise
        if exercise.gradients and any(line.output in exercise.forward for line in off):
            own = self._matches_own_forward(case)
            if own:
                report.verdict.append(
                    "your calculus is right, but for another formula: backward matches your own forward"
                )
                off = [line for line in off if line.output in exercise.forward]
            else:
                self._hold_back_gradients(report.lines)
                off = [line for line in off if line.status == OFF]
                if own is False:
                    report.verdict.append("fix the forward first; the backward is checked after it")
        wrong = [line.output for line in off]
        named = [each for each in others if self._has(each, wrong)] or [case]
        theirs = [self._results(each) for each in named]
        right = [dict(exercise.run(files.answer(exercise.number), read_only(each))) for each in named]
        report.diagnosis = diagnose(exercise, named, theirs, right, wrong, passed)

    def _hold_back_gradients(self, lines: list[Line]) -> None:
        """Mark the gradients that follow a wrong forward, up to the next forward, as waiting for it."""
        is_off, was_gradient = False, False
        for line in lines:
            if line.output in self.exercise.gradients:
                was_gradient = True
                if is_off and line.status != MISSING:
                    line.status, line.text = "waiting", "for the forward to be right"
            elif line.output in self.exercise.forward:
                is_off = line.status == OFF or (is_off and not was_gradient)
                was_gradient = False

    def _run(self, case: Case, outputs: Outputs) -> None:
        """Add the learner's results to `outputs`, up to the first function that is not written yet.

        Raises:
            Crash: the learner's code raises anything but NotImplementedError.
        """
        try:
            with np.errstate(all="ignore"):
                for output, value in self.exercise.run(self.module, read_only(case)):
                    outputs[output] = value
        except NotImplementedError:
            pass
        except ENDED as error:
            raise Crash(error, self.path) from None

    def _results(self, case: Case) -> Outputs:
        outputs: Outputs = {}
        self._run(case, outputs)
        return outputs

    def _has(self, case: Case, wrong: list[str]) -> bool:
        """Return whether a case runs and yields all of the wrong results."""
        try:
            return set(wrong) <= set(self._results(case))
        except Crash:
            return False

    def _matches_own_forward(self, case: Case) -> bool | None:
        """Return whether the gradients match finite differences of the learner's own forward.

        None if there are no gradients to compare, or forward raises.
        """
        mine, scalar = self._results(case), self.exercise.scalar
        if scalar is None or not set(mine) & set(self.exercise.gradients):
            return None
        for output, source in self.exercise.gradients.items():
            x = case.inputs.get(source)
            if x is None or output not in mine:
                continue

            def loss(values: Array, source: str = source) -> float:
                return scalar(self.module, case, {**case.inputs, source: values})

            try:
                with np.errstate(all="ignore"):
                    expected = numerical_gradient(loss, np.array(x, dtype=np.float64))
            except ENDED:
                return None
            if distance(mine[output], expected) > 1e-5:
                return False
        return True
