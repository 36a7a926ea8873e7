"""The specs: answers pass, other right answers pass, and answers are the engine's ops."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from lessons.kit import check, compare, files, report, variants
from lessons.kit.exercise import Case
from lessons.specs import EXERCISES
from tests.lessons.learner import OTHER_ANSWERS, answer


@pytest.mark.parametrize("number", EXERCISES)
def test_the_answer_passes(number: int) -> None:
    found = check.check(EXERCISES[number], source=answer(number))
    assert found.state == check.PASSED, report.text_of(found)
    assert "passed" in report.text_of(found)


@pytest.mark.parametrize("path", OTHER_ANSWERS, ids=lambda path: path.stem)
def test_other_right_answers_pass(path: Path) -> None:
    number = int(path.stem[:2])
    found = check.check(EXERCISES[number], path=path, source=path.read_text(encoding="utf-8"))
    assert found.state == check.PASSED, report.text_of(found)


@pytest.mark.parametrize("number", EXERCISES)
def test_there_are_three_other_answers(number: int) -> None:
    stem = files.lesson_path(number).stem
    assert len([path for path in OTHER_ANSWERS if path.stem.startswith(f"{stem}_")]) >= 3


@pytest.mark.parametrize(
    ("number", "module"),
    [
        (2, "scratchgpt.ops.cross_entropy"),
        (3, "scratchgpt.ops.softmax"),
        (4, "scratchgpt.ops.linear"),
        (5, "scratchgpt.ops.embedding"),
        (8, "scratchgpt.ops.layernorm"),
        (10, "scratchgpt.ops.attention"),
    ],
)
def test_an_answer_is_the_engine(number: int, module: str) -> None:
    exercise, engine = EXERCISES[number], importlib.import_module(module)
    for case in exercise.cases():
        ours = dict(exercise.run(files.answer(number), variants.read_only(case)))
        theirs = dict(exercise.run(engine, variants.read_only(case)))
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            # exp turns the rounding of a score near 1000 into an error a thousand times as large
            tolerance = 1e-10 if "1000" in case.name else 1e-12
            assert compare.distance(value, theirs[name]) < tolerance, (case.name, name)


def test_waves_are_not_special() -> None:
    case: Case = EXERCISES[8].cases()[0]
    x = case.inputs["x"]
    assert np.unique(x.round(9)).size == x.size
    assert abs(np.corrcoef(x.ravel(), case.dy.ravel())[0, 1]) < 0.3
