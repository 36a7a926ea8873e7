"""What a learner has: answers with some text changed, the reports on them, and runs of a lesson."""

import subprocess
import sys
from pathlib import Path

from lessons.kit import check, files, report
from lessons.specs import EXERCISES
from tests.support.project import ROOT

LESSONS = sorted(files.LESSONS.glob("[0-9][0-9]_*.py"))
OTHER_ANSWERS = sorted((ROOT / "tests" / "lessons" / "other_answers").glob("[0-9][0-9]_*.py"))


def answer(number: int) -> str:
    """Return the text of an answer."""
    return files.answer_path(number).read_text(encoding="utf-8")


def checked(number: int, *changes: tuple[str, str]) -> tuple[check.Report, str]:
    """Return the report on an answer with some text changed, and the same as text on one line."""
    source = answer(number)
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    found = check.check(EXERCISES[number], source=source)
    return found, " ".join(report.text_of(found).split())


def names(found: check.Report) -> list[str]:
    """Return the ids of the mistakes in a diagnosis."""
    return [fault.id for fault in found.diagnosis.faults] if found.diagnosis else []


def run_with_mine(course: Path, number: int, source: str) -> subprocess.CompletedProcess[str]:
    """Run a lesson of the copied course with `--mine` and a learner's file."""
    files.exercise_path(number).write_text(source, encoding="utf-8")
    path = files.lesson_path(number)
    command = [sys.executable, str(path), "--mine", "--fast", "--out", str(course / "output")]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
