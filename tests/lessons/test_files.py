"""The files of a lesson: all have its stem, stubs are stubs, and patches apply."""

from pathlib import Path

import pytest

from lessons.kit import check, files, report
from lessons.kit.files import Fault, Missing
from lessons.specs import EXERCISES
from tests.lessons.learner import LESSONS, answer


def test_every_exercise_has_its_files() -> None:
    for number, exercise in EXERCISES.items():
        assert exercise.number == number
        assert files.lesson_path(number).exists()
        assert files.faults(number), f"lesson {number} knows no mistakes"
        assert files.exercise_path(number).exists()
        assert set(exercise.hints) == set(exercise.functions), number
    known = [fault.id for number in EXERCISES for fault in files.faults(number)]
    assert len(set(known)) == len(known)


@pytest.mark.parametrize("folder", ["exercises", "answers", "faults", "specs", "pictures"])
def test_every_folder_has_one_file_for_each_lesson_under_its_name(folder: str) -> None:
    found = {
        path.stem for path in (files.LESSONS / folder).iterdir() if path.suffix in (".py", ".toml", ".png")
    }
    hunts = {stem for stem in found if stem.endswith("_hunt")}  # a developer's own
    assert found - hunts - {"__init__"} == {path.stem for path in LESSONS}


def test_a_lesson_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Missing, match="there is no lesson 99; python -m lessons list shows all lessons"):
        files.lesson_path(99)


@pytest.mark.parametrize("number", EXERCISES)
def test_a_stub_is_not_started(number: int) -> None:
    assert files.exercise_path(number).read_text(encoding="utf-8") == files.stub(number)
    found = check.check(EXERCISES[number])
    assert found.state == check.NOT_STARTED
    text = report.text_of(found)
    assert "not started" in text
    assert "Error" not in text
    assert "WRONG" not in text
    assert "raise NotImplementedError" in files.stub(number)


def test_a_stub_with_other_docstrings_and_comments_is_not_started(desk: Path) -> None:
    path, stub = files.exercise_path(8), files.stub(8)
    for old, new in (
        ('"""Exercise 08: LayerNorm.', '"""Exercise 08, as an earlier version put it.'),
        ("    raise NotImplementedError  # your code goes here", "    raise NotImplementedError"),
        ("import numpy as np\n", "import numpy as np  # the mean of h is\n\n\n"),
        ('    """Return (dx, dweight, dbias)', '    r"""Return three gradients'),
    ):
        assert old in stub
        path.write_text(stub.replace(old, new), encoding="utf-8")
        assert files.is_untouched(8), new
    for old, new in (
        ("    raise NotImplementedError  # your code goes here", "    return x"),
        ("import numpy as np\n", "import numpy as np\nEPS = 1e-5\n"),
        ("def forward(", "def forward(("),
        ("import numpy as np\n", "\0"),
    ):
        path.write_text(stub.replace(old, new, 1), encoding="utf-8")
        assert not files.is_untouched(8), new


def test_comments_are_work_although_they_do_not_start_an_exercise(desk: Path) -> None:
    stub = files.stub(8)
    noted = stub.replace("import numpy as np\n", "import numpy as np\n# dx = h - mean(h) - ...\n")
    reworded = stub.replace('"""Exercise 08: LayerNorm.', '"""Exercise 08, as an earlier version put it.')
    assert files.same_code(noted, stub)
    assert files.holds_work(noted, 8)
    assert not files.holds_work(reworded, 8)
    files.exercise_path(8).write_text(noted, encoding="utf-8")
    backup = files.reset(8)
    assert backup is not None
    assert backup.read_text(encoding="utf-8") == noted


def test_each_patch_applies_exactly_once() -> None:
    for number in EXERCISES:
        for fault in files.faults(number):
            assert files.patched(answer(number), fault) != answer(number)
    with pytest.raises(ValueError, match="occurs 0 times"):
        files.patched("x = 1", Fault("X", 1, "y", "z", "", "", ""))
