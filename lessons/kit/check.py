"""The check of one exercise: what is right, what is wrong, where, and what it is."""

import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lessons.kit import files, naming
from lessons.kit.exercise import Case, Exercise, Outputs, WrongAnswer
from scratchgpt.gradcheck.numerical import numerical_gradient
from scratchgpt.shapes import Array

TOLERANCE = 1e-6  # relative, by norm
TYPE = "has type"
FLOAT32 = "float32"  # the name of the case
WRONG_TYPE = (
    "only the type is wrong: a NumPy float64 (np.sqrt(n), np.zeros(shape), np.float64(x)) turns float32 into "
    "float64; use a Python float such as n**0.5, or dtype=x.dtype"
)
NOT_STARTED, CRASHED, WRONG, PASSED = "not started", "crashed", "wrong", "passed"


@dataclass
class Line:
    """One result: its name, "ok", "WRONG" or "not started", and what there is to say."""

    output: str
    status: str
    text: str = ""


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


class Crash(Exception):
    """The learner's code raised an exception."""

    def __init__(self, error: BaseException, path: Path) -> None:
        super().__init__(str(error))
        self.error = error
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        self.frame = frames[-1] if frames else None

    def words(self, path: Path) -> str:
        """Say what happened and on which line of the learner."""
        where = f"{path.name}:{self.frame.lineno}: {self.frame.line}\n    " if self.frame else ""
        kind, message = type(self.error).__name__, str(self.error)
        if isinstance(self.error, SyntaxError):
            line = (self.error.text or "").strip()
            return f"{path.name}:{self.error.lineno}: {line}\n    {kind}: {self.error.msg}"
        if isinstance(self.error, ValueError) and "read-only" in message:
            message = "this line changes one of its inputs in place; make a new array instead"
            return f"{where}{message}"
        if "could not be broadcast together" in message:
            message += "; was an axis summed away? keepdims=True keeps it with length 1"
        if isinstance(self.error, WrongAnswer):
            return f"{where}{message}"
        return f"{where}{kind}: {message}"


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
    except Exception as error:
        return _crashed(exercise, path, Crash(error, path))
    for function in exercise.functions:
        if not callable(getattr(module, function, None)):
            report = Report(exercise, path, CRASHED)
            report.verdict.append(
                f"{path.name} has no function {function}; expected {', '.join(exercise.functions)}"
            )
            return report

    right_module = files.answer(exercise.number)
    cases = exercise.cases()
    for case in [*cases, *_harder(cases[0])]:
        right = dict(exercise.run(right_module, read_only(case)))
        try:
            mine = _results(exercise, module, case, path)
        except Crash as crash:
            return _crashed(exercise, path, crash, case)
        report = _compare(exercise, path, case, mine, right)
        if report.state != PASSED:
            wrong = [line.output for line in report.lines if line.status == "WRONG"]
            if case.name == FLOAT32 and _only_types_are_wrong(report):
                report.verdict.append(WRONG_TYPE)
            elif wrong:
                _diagnose(exercise, report, module, cases, case, wrong, path)
            return report
    return report


def _only_types_are_wrong(report: Report) -> bool:
    return all(line.text.startswith(TYPE) for line in report.lines if line.status == "WRONG")


def _results(exercise: Exercise, module: ModuleType, case: Case, path: Path) -> Outputs:
    """Return the learner's results, as many as there are before a function that is not written yet."""
    outputs: Outputs = {}
    try:
        with np.errstate(all="ignore"):
            for output, value in exercise.run(module, read_only(case)):
                outputs[output] = value
    except NotImplementedError:
        pass
    except Exception as error:
        raise Crash(error, path) from None
    return outputs


def _compare(exercise: Exercise, path: Path, case: Case, mine: Outputs, right: Outputs) -> Report:
    """Compare the results of a case with the right ones."""
    report = Report(exercise, path, PASSED)
    float32 = case.name == FLOAT32
    for output, expected in right.items():
        if output not in mine:
            report.lines.append(Line(output, "not started"))
            continue
        problem = _form(mine[output], expected)
        error = naming.distance(mine[output], expected) if not problem else math.inf
        if problem:
            report.lines.append(Line(output, "WRONG", problem))
        elif error > (1e-3 if float32 else TOLERANCE):
            report.lines.append(Line(output, "WRONG", _worst(mine[output], expected)))
        else:
            report.lines.append(Line(output, "ok", f"agrees to {_digits(error)} digits"))
    states = [line.status for line in report.lines]
    if "WRONG" in states:
        report.state = WRONG
        report.verdict += _where(case)
    elif "not started" in states:
        report.state = NOT_STARTED if set(states) == {"not started"} else WRONG
        if report.state == WRONG:
            missing = [line.output for line in report.lines if line.status == "not started"]
            report.verdict.append(f"so far so good; {', '.join(missing)} not started")
    return report


def _diagnose(
    exercise: Exercise, report: Report, module: ModuleType, cases: list[Case], case: Case, wrong: list[str],
    path: Path,
) -> None:  # fmt: skip
    """Say whether the formula or the calculus is wrong, and name the mistake."""
    wrong_forward = [output for output in wrong if output in exercise.forward]
    if wrong_forward and exercise.gradients:
        own = _fits_own_forward(exercise, module, case, path)
        if own is True:
            report.verdict.append(
                "your calculus is right, for another formula: backward fits your own forward"
            )
        elif own is False:
            report.verdict.append("fix the forward first; the backward is looked at after it")
        for line in report.lines:
            if line.output in exercise.gradients and own is not True:
                line.status, line.text = "waiting", "for the forward"
        wrong = wrong_forward
    named_cases = (
        [case] if case not in cases else [each for each in cases if _has(exercise, module, each, wrong, path)]
    )
    named_cases = named_cases or [case]
    mine = [_results(exercise, module, each, path) for each in named_cases]
    right = [dict(exercise.run(files.answer(exercise.number), read_only(each))) for each in named_cases]
    report.name = naming.name(exercise, named_cases, mine, right, wrong)


def _has(exercise: Exercise, module: ModuleType, case: Case, wrong: list[str], path: Path) -> bool:
    """Return whether a case runs and has all the wrong results."""
    try:
        return set(wrong) <= set(_results(exercise, module, case, path))
    except Crash:
        return False


def _fits_own_forward(exercise: Exercise, module: ModuleType, case: Case, path: Path) -> bool | None:
    """Return whether the gradients are those of the learner's own forward; None if there are none yet."""
    mine, scalar = _results(exercise, module, case, path), exercise.scalar
    if scalar is None or not set(mine) & set(exercise.gradients):
        return None
    for output, source in exercise.gradients.items():
        x = case.inputs.get(source)
        if x is None or output not in mine:
            continue

        def loss(values: Array, source: str = source) -> float:
            return scalar(module, case, {**case.inputs, source: values})

        try:
            with np.errstate(all="ignore"):
                expected = numerical_gradient(loss, np.array(x, dtype=np.float64))
            if naming.distance(mine[output], expected) > 1e-5:
                return False
        except Exception:
            return None
    return True


def _harder(case: Case) -> list[Case]:
    """Return the case with gaps in the arrays' memory, and in float32."""

    def each(function: Any, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(each(function, part) for part in value)
        return function(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value

    def changed(name: str, function: Any) -> Case:
        inputs = {key: each(function, value) for key, value in case.inputs.items()}
        return replace(case, name=name, inputs=inputs, dy=each(function, case.dy))

    def with_gaps(x: Array) -> Array:
        if not x.ndim:
            return x
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan)
        wide[..., ::2] = x
        view: Array = wide[..., ::2]
        return view

    return [
        changed("inputs with gaps in memory", with_gaps),
        changed(FLOAT32, lambda x: x.astype(np.float32)),
    ]


def read_only(case: Case) -> Case:
    """Return the case with arrays that raise when they are written to."""

    def locked(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(locked(part) for part in value)
        if not isinstance(value, np.ndarray):
            return value
        view = value.view()
        view.flags.writeable = False
        return view

    inputs: Mapping[str, Any] = {name: locked(value) for name, value in case.inputs.items()}
    return replace(case, inputs=dict(inputs), dy=locked(case.dy))


def _form(found: Any, expected: Any) -> str:
    """Return what is wrong with the shape or the type of a result, if anything is."""
    if np.shape(found) != np.shape(expected):
        return f"has shape {np.shape(found)}, expected {np.shape(expected)}"
    wanted, given = np.asarray(expected).dtype, np.asarray(found).dtype
    if np.ndim(expected) and wanted != given:
        return f"{TYPE} {given}, expected {wanted}"
    return ""


def _worst(found: Any, expected: Any) -> str:
    """Return the entry that is most wrong."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if found.ndim == 0:
        return f"you {float(found):.6g}, true {float(expected):.6g}"
    off = np.where(np.isfinite(found), np.abs(found - expected), np.inf)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
    return f"you {found[index]:.6g}, true {expected[index]:.6g} at {list(index)}"


def _digits(error: float) -> int:
    return 15 if error < 1e-15 else int(-math.log10(error))


def _where(case: Case) -> list[str]:
    return [] if case.name in ("", "first") else [f"seen with {case.name}; simpler inputs are right"]


def _crashed(exercise: Exercise, path: Path, crash: Crash, case: Case | None = None) -> Report:
    report = Report(exercise, path, CRASHED)
    report.verdict.append(crash.words(path))
    if case is not None:
        report.verdict += _where(case)
    return report
