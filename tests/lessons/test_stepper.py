"""The command line: progress, hints, the answer, starting again."""

import subprocess
import sys
from pathlib import Path

import pytest

from lessons.kit import files, stepper
from lessons.specs import EXERCISES
from tests.lessons.learner import answer


def test_the_first_screen_says_what_is_next(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stepper.main([]) == 0
    shown = capsys.readouterr().out
    first = min(EXERCISES)
    assert shown.count("not started") == len(EXERCISES)
    assert f"python -m lessons check {first}" in shown
    assert f"python lessons/{files.lesson_path(first).name}" in shown


def test_reset_keeps_a_backup(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "08_layernorm.py").write_text("mine", encoding="utf-8")
    assert stepper.main(["reset", "8"]) == 0
    (backup,) = desk.glob("*.bak")
    assert backup.read_text() == "mine"
    assert backup.name in capsys.readouterr().out
    assert (desk / "08_layernorm.py").read_text() == files.stub(8)
    stepper.main(["reset", "8"])
    assert len(list(desk.glob("*.bak"))) == 1


def test_hints_grow_and_reveal_leads_to_the_answer(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lengths = []
    for level in ("1", "2", "3"):
        stepper.main(["hint", "8", "--level", level])
        lengths.append(len(capsys.readouterr().out))
    assert lengths[0] < lengths[1] < lengths[2]
    stepper.main(["reveal", "8"])
    assert "+    dx = (dx_hat - mean - x_hat * projection) * rstd" in capsys.readouterr().out
    (desk / "08_layernorm.py").write_text(answer(8), encoding="utf-8")
    stepper.main(["reveal", "8"])
    assert "identical to the answer" in capsys.readouterr().out


def test_unknown_lessons_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert stepper.main(["check", "99"]) == 2
    assert "there is no lesson 99; expected one from 0 to 15" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["reveal 8", "list", "hint 8", "--help"])
def test_a_reader_that_stops_reading_ends_the_command_quietly(course: Path, arguments: str) -> None:
    command = [sys.executable, "-m", "lessons", *arguments.split()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=course.parent
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()  # before the command has written anything
        errors = started.stderr.read().decode()
    assert errors == ""
    assert started.returncode == (0 if arguments == "--help" else 141)  # argparse ignores it
