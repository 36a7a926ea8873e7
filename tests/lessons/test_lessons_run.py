"""The lessons: each runs and draws its picture, and has its parts in order."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lessons.kit import files
from lessons.specs import EXERCISES
from tests.lessons.learner import LESSONS
from tests.support.project import ROOT

QUICK = ("08_layernorm",)  # runs in every test run
BLOCK_NETWORK = """
import runpy, socket, sys
def refuse(*args, **kwargs):
    raise OSError("a lesson must not use the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.argv = sys.argv[1:]
sys.path.insert(0, "lessons")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in QUICK else pytest.mark.slow) for path in LESSONS],
    ids=lambda path: path.stem,
)
def test_a_lesson_runs_without_a_network_and_draws_its_picture(path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", BLOCK_NETWORK]
    done = subprocess.run(
        [*command, str(path), "--fast", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    pictures = list(tmp_path.glob("*.png"))
    assert [picture.stem for picture in pictures] == [path.stem]
    assert pictures[0].stat().st_size > 5000
    assert "Predict: " in done.stdout


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_parts_in_order(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    number = int(path.stem[:2])
    assert 100 <= len(text.splitlines()) <= 300
    parts = ("**Question.**", "lesson.show(", "lesson.save(", "## Your turn", "**Sources.**")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert f"\\tag{{{number}.1}}" in text or f"({number}.1)" in text
    assert text.splitlines()[1] == f"# # Lesson {number:02} · {EXERCISES[number].title}"
    assert f"## {number:02} · {EXERCISES[number].title}\n" in (files.LESSONS / "README.md").read_text("utf-8")
