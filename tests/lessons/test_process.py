"""Checks in a separate process: code that exits, or never ends."""

import re
from pathlib import Path

import pytest

from lessons.kit import files, stepper
from lessons.kit.process import check_apart
from tests.lessons.learner import answer


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("import sys; sys.exit()", "your code exited the program at line 17"),
        (
            "import os; os._exit(0)",
            "something in lessons/exercises/00_gradient_check.py ended the program before the check was done",
        ),
    ],
)
def test_code_that_exits_the_program_does_not_pass(
    course: Path, capsys: pytest.CaptureFixture[str], end: str, words: str
) -> None:
    source = answer(0).replace("    point = np", f"    {end}\n    point = np")
    files.exercise_path(0).write_text(source, encoding="utf-8")
    assert stepper.main(["check", "0"]) == 1
    assert words in capsys.readouterr().out
    assert stepper.main([]) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("[~] 00")


@pytest.mark.slow
def test_the_output_before_an_infinite_loop_is_shown(course: Path) -> None:
    body = '    while True:\n        print("here", h)\n        __import__("time").sleep(0.01)\n    point = np'
    source = answer(0).replace("    point = np", body)
    files.exercise_path(0).write_text(source, encoding="utf-8")
    found = check_apart(0, 5.0)
    assert not found.passed
    assert found.state == "still running after 5 s"
    assert "here 0.1\n" in found.printed
    assert found.printed.count("here") == 10
    assert re.search(r"lessons/exercises/00_gradient_check.py:1\d still running", found.report)


def test_an_infinite_loop_is_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stepper, "CHECK_SECONDS", 0.05)
    assert stepper.main(["check", "8"]) == 1
    assert "still running after 0.05 s; is there an infinite loop?" in capsys.readouterr().out
