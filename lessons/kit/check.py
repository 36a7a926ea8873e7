"""The check of one exercise: what is right, what is wrong, where, and what it is."""

from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np

from lessons.kit import files, naming
from lessons.kit.compare import MISSING, OFF, Line, compare, distance
from lessons.kit.crash import ENDED, Crash
from lessons.kit.exercise import Case, Exercise, Outputs
from lessons.kit.variants import harder, read_only
from scratchgpt.gradcheck.numerical import numerical_gradient
from scratchgpt.shapes import Array

ONLY_TYPE = (
    "only the type is wrong: results have the type of the inputs. A NumPy float64 (np.sqrt(n), "
    "np.zeros(shape), np.float64(x)) turns float32 into float64; use a Python float such as n**0.5, or "
    "dtype=x.dtype. astype(np.float32) throws digits away"
)
NOT_STARTED, CRASHED, WRONG, PASSED = "not started", "crashed", "wrong", "passed"


@dataclass
class Report:
    """What a check found.

    Attributes:
        exercise: which one.
        path: the file that ran.
        state: NOT_STARTED, CRASHED, WRONG or PASSED.
        lines: a line for each result.
        verdict: sentences that say what to make of it.
        name: what the wrong results are.
    """

    exercise: Exercise
    path: Path
    state: str
    lines: list[Line] = field(default_factory=list)
    verdict: list[str] = field(default_factory=list)
    name: naming.Name | None = None

    def outputs(self, status: str) -> list[str]:
        """Return the results with a status."""
        return [line.output for line in self.lines if line.status == status]


def check(exercise: Exercise, path: Path | None = None, source: str | None = None) -> Report:
    """Check the learner's file, or a source in its place.

    The first stage that fails ends the check: the file must run, then shapes and types must be right, then
    values in every case, among them inputs with gaps in memory and in float32.
    """
    path = path or files.exercise_path(exercise.number)
    if source is None:
        if not path.exists() or files.is_untouched(exercise.number):
            return Report(exercise, path, NOT_STARTED)
        source = path.read_text(encoding="utf-8")
    try:
        module = files.module_of(source, path)
    except ENDED as error:
        return Report(exercise, path, CRASHED, verdict=[Crash(error, path).words()])
    for function in exercise.functions:
        if not callable(getattr(module, function, None)):
            return Report(exercise, path, CRASHED, verdict=[_lacks(exercise, module, function, path)])

    learner = _Learner(exercise, module, path)
    cases = exercise.cases()
    for i, case in enumerate([*cases, *harder(cases[0])]):
        report = learner.report(case)
        if report.state != PASSED:
            if report.state == WRONG and report.outputs(OFF):
                learner.diagnose(report, case, cases[:i], cases[i:])
            return report
    return report


def _lacks(exercise: Exercise, module: ModuleType, function: str, path: Path) -> str:
    """Say which function is missing, and what there is: perhaps it has another name."""
    there = [name for name, value in vars(module).items() if isinstance(value, FunctionType)]
    own = [name for name in there if vars(module)[name].__module__ == module.__name__ and name[0] != "_"]
    found = f"; found {', '.join(own)}" if own else ""
    return f"{path.name} has no function {function}; expected {', '.join(exercise.functions)}{found}"


@dataclass(frozen=True)
class _Learner:
    """The learner's functions for an exercise."""

    exercise: Exercise
    module: ModuleType
    path: Path

    def report(self, case: Case) -> Report:
        """Compare the results of a case with the right ones."""
        right = dict(self.exercise.run(files.answer(self.exercise.number), read_only(case)))
        mine: Outputs = {}
        report = Report(self.exercise, self.path, PASSED)
        seen = [] if case.name == "first" else [f"seen with {case.name}; simpler inputs are right"]
        try:
            self._run(case, mine)
        except Crash as crash:  # before it, something may have been wrong already
            lines = compare(mine, right, case.name, self.exercise.tolerance)
            report.lines = [line for line in lines if line.status != MISSING]
            report.state, report.verdict = CRASHED, [crash.words(), *seen]
            return report
        report.lines = compare(mine, right, case.name, self.exercise.tolerance)
        missing = report.outputs(MISSING)
        if report.outputs(OFF):
            report.state, report.verdict = WRONG, seen
        elif len(missing) == len(report.lines):
            report.state = NOT_STARTED
        elif missing:
            report.state = WRONG
            report.verdict.append(f"so far so good; {', '.join(missing)} not started")
        return report

    def diagnose(self, report: Report, case: Case, passed: list[Case], others: list[Case]) -> None:
        """Say whether the formula or the calculus is wrong, and name the mistake.

        Args:
            report: of the case, to be completed.
            case: the first that has anything wrong.
            passed: the cases before it, which are right.
            others: those that come after it, and itself if it is no variant of another.
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
            own = self._fits_own_forward(case)
            if own:
                report.verdict.append(
                    "your calculus is right, for another formula: backward fits your own forward"
                )
                off = [line for line in off if line.output in exercise.forward]
            else:
                self._let_gradients_wait(report.lines)
                off = [line for line in off if line.status == OFF]
                if own is False:
                    report.verdict.append("fix the forward first; the backward is looked at after it")
        wrong = [line.output for line in off]
        named = [each for each in others if self._has(each, wrong)] or [case]
        theirs = [self._results(each) for each in named]
        right = [dict(exercise.run(files.answer(exercise.number), read_only(each))) for each in named]
        report.name = naming.name(exercise, named, theirs, right, wrong, passed)

    def _let_gradients_wait(self, lines: list[Line]) -> None:
        """Mark the gradients that come after a wrong forward, up to the next forward."""
        is_off, was_gradient = False, False
        for line in lines:
            if line.output in self.exercise.gradients:
                was_gradient = True
                if is_off and line.status != MISSING:
                    line.status, line.text = "waiting", "for the forward"
            elif line.output in self.exercise.forward:
                is_off = line.status == OFF or (is_off and not was_gradient)
                was_gradient = False

    def _run(self, case: Case, outputs: Outputs) -> None:
        """Collect the learner's results, as many as there are before a function that is not written yet.

        Raises:
            Crash: the learner's code raises something else.
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
        """Return whether a case runs and has all the wrong results."""
        try:
            return set(wrong) <= set(self._results(case))
        except Crash:
            return False

    def _fits_own_forward(self, case: Case) -> bool | None:
        """Return whether the gradients are those of the learner's own forward; None if there are none yet."""
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
