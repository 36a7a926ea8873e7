"""A running lesson with the learner's functions."""

import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from lessons.kit import Lesson, files
from lessons.kit import lesson as lesson_module
from lessons.kit.process import Checked
from scratchgpt.ops import layernorm
from tests.lessons.learner import answer, run_with_mine


@pytest.fixture
def with_mine(written: Path, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    """Lesson 8 with the learner's functions."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(lesson_module, "check_apart", lambda *_: Checked(True, "", ""))
    return Lesson(8, mine=True)


def test_mine_says_whose_functions_run_and_keeps_the_engines_picture(
    with_mine: Lesson, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_mine.functions(layernorm)
    with_mine.show(layernorm.forward)
    shown = capsys.readouterr().out
    assert "python -m lessons check 8: passed" in shown
    assert "using your functions from lessons/exercises/08_layernorm.py" in shown
    assert "# layernorm.py (engine; lessons/exercises/08_layernorm.py runs in its place)" in shown
    with_mine._out = tmp_path
    assert with_mine.save(Figure(), "a caption").name == "08_layernorm_mine.png"


def test_a_lesson_that_fails_with_mine_says_so(with_mine: Lesson, capsys: pytest.CaptureFixture[str]) -> None:
    with_mine.functions(layernorm)
    with pytest.raises(AssertionError) as caught:
        with_mine.holds("rows of dx sum to", np.ones(2), np.zeros(2))
    sys.excepthook(AssertionError, caught.value, caught.tb)
    shown = capsys.readouterr().err
    assert "rows of dx sum to" in shown
    assert "fails with your functions; run: python -m lessons check 8" in shown
    assert "Traceback" not in shown


def test_a_crash_in_a_lesson_with_mine_shows_the_learners_line(
    with_mine: Lesson, capsys: pytest.CaptureFixture[str]
) -> None:
    path = files.exercise_path(8)
    path.write_text(answer(8).replace("x_hat = centered", "x_hat = cantered"), encoding="utf-8")
    functions = with_mine.functions(layernorm)
    with pytest.raises(NameError) as caught:
        functions.forward(np.ones((2, 3)), np.ones(3))
    sys.excepthook(NameError, caught.value, caught.tb)
    shown = capsys.readouterr().err
    assert "lessons/exercises/08_layernorm.py:19: x_hat = cantered * rstd" in shown
    assert "run: python -m lessons check 8" in shown


def test_only_what_is_replaced_is_said_to_be(with_mine: Lesson, capsys: pytest.CaptureFixture[str]) -> None:
    with_mine.functions(files.answer(8))
    with_mine.show(files.answer(8).backward)
    with_mine.show(layernorm.backward)
    shown = capsys.readouterr().out
    assert (
        "# lessons/answers/08_layernorm.py (answer; lessons/exercises/08_layernorm.py runs in its place)"
        in shown
    )
    assert "# layernorm.py (engine)" in shown


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import sys\nsys.exit()\n", 2),
        pytest.param(
            answer(0).replace("    point = np", "    raise SystemExit(0)\n    point = np"),
            17,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["on import", "in a function"],
)
def test_code_that_exits_the_program_stops_a_lesson_with_a_message(
    course: Path, source: str, line: int
) -> None:
    done = run_with_mine(course, 0, source)
    assert done.returncode == 1
    assert f"your code exited the program at line {line}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_lesson_with_mine_says_whether_the_check_passes(course: Path) -> None:
    two = answer(8).replace("return dx, dweight, dbias", "return dx, dweight")
    done = run_with_mine(course, 8, two)
    assert done.returncode == 0, done.stderr
    assert "python -m lessons check 8: NOT passed" in done.stdout
