"""Places for a learner's files, so that the project's own stubs stay as they are."""

import shutil
from pathlib import Path

import pytest

from lessons.kit import files
from lessons.specs import EXERCISES
from tests.lessons.learner import answer
from tests.support.project import ROOT


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of untouched exercises, which this process uses in place of lessons/exercises."""
    folder = tmp_path / "exercises"
    folder.mkdir()
    monkeypatch.setattr(files, "exercise_folder", lambda: folder)
    for number in EXERCISES:
        files.exercise_path(number).write_text(files.stub(number), encoding="utf-8")
    return folder


@pytest.fixture
def written(desk: Path) -> Path:
    """A folder in which all exercises are answered."""
    for number in EXERCISES:
        files.exercise_path(number).write_text(answer(number), encoding="utf-8")
    return desk


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the lessons, in which separate processes run, too."""
    copy = tmp_path / "lessons"
    shutil.copytree(files.LESSONS, copy, ignore=shutil.ignore_patterns("pictures", "output", "__pycache__"))
    monkeypatch.setattr(files, "LESSONS", copy)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    return copy
