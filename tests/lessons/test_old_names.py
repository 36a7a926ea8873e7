"""A learner's files with names of earlier versions: they get their new names, and no work is lost."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lessons.kit import Lesson, files, stepper
from lessons.kit.old_names import rename_old_files
from tests.lessons.learner import answer

WORK = answer(8).replace("The answer to exercise", "Exercise")
OLD_STUB = files.stub(8).replace("Normalize each row", "Normalise every row")  # as an earlier version put it


def test_an_exercise_a_backup_and_a_hunt_are_renamed_with_a_line_each(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {
        "ex08.py": "08_layernorm.py",
        "ex08-20260131-120000.bak": "08_layernorm-20260131-120000.bak",
        "hunt08.py": "08_layernorm_hunt.py",
    }
    (desk / "08_layernorm.py").unlink()
    for old in names:
        (desk / old).write_text(f"# {old}\n", encoding="utf-8")
    rename_old_files()
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(f"lessons/exercises/{old} is now {new}" for old, new in names.items())
    for old, new in names.items():
        assert not (desk / old).exists()
        assert (desk / new).read_text(encoding="utf-8") == f"# {old}\n"
    rename_old_files()
    assert capsys.readouterr().out == ""


def test_an_untouched_stub_gives_way_to_the_learners_file(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (desk / "ex08.py").write_text(WORK, encoding="utf-8")
    (desk / "08_layernorm.py").write_text(OLD_STUB, encoding="utf-8")
    rename_old_files()
    assert capsys.readouterr().out == "lessons/exercises/ex08.py is now 08_layernorm.py\n"
    assert (desk / "08_layernorm.py").read_text(encoding="utf-8") == WORK
    assert not (desk / "ex08.py").exists()


@pytest.mark.parametrize("new", [WORK, files.stub(8)])
def test_an_old_file_that_was_not_started_is_deleted(
    desk: Path, capsys: pytest.CaptureFixture[str], new: str
) -> None:
    (desk / "ex08.py").write_text(OLD_STUB, encoding="utf-8")
    (desk / "08_layernorm.py").write_text(new, encoding="utf-8")
    rename_old_files()
    assert capsys.readouterr().out == (
        "lessons/exercises/ex08.py was not started and is deleted; 08_layernorm.py takes its place\n"
    )
    assert (desk / "08_layernorm.py").read_text(encoding="utf-8") == new
    assert not (desk / "ex08.py").exists()


@pytest.mark.parametrize(
    "old",
    [
        WORK,
        OLD_STUB.replace("import numpy as np\n", "import numpy as np\n# dx = h - mean(h) ...\n"),
        "def forward((:",
        "\0",
    ],
)
def test_work_in_both_files_is_kept_and_the_learner_is_told_what_to_do(
    desk: Path, capsys: pytest.CaptureFixture[str], old: str
) -> None:
    mine = WORK.replace("x_hat = centered", "x_hat = 2.0 * centered")
    (desk / "ex08.py").write_text(old, encoding="utf-8")
    (desk / "08_layernorm.py").write_text(mine, encoding="utf-8")
    for _ in range(2):  # until the learner has done it
        rename_old_files()
        assert "copy what you want to keep into it, then delete ex08.py" in capsys.readouterr().out
    assert (desk / "ex08.py").read_text(encoding="utf-8") == old
    assert (desk / "08_layernorm.py").read_text(encoding="utf-8") == mine


def test_a_file_that_is_not_in_utf_8_counts_as_work(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "ex08.py").write_bytes(b"# gr\xfc\xdfe\n")
    rename_old_files()
    assert "is now 08_layernorm.py" in capsys.readouterr().out
    assert (desk / "08_layernorm.py").read_bytes() == b"# gr\xfc\xdfe\n"


def test_the_same_file_under_both_names_is_kept_once(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ex08.py", "08_layernorm.py"):
        (desk / name).write_text(WORK, encoding="utf-8")
    rename_old_files()
    assert "was the same as 08_layernorm.py and is deleted" in capsys.readouterr().out
    assert (desk / "08_layernorm.py").read_text(encoding="utf-8") == WORK


def test_other_files_are_left_alone(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = ("ex08_second_try.py", "ex99.py", "ex8.py", "example.py", "hunt08.txt")
    for name in others:
        (desk / name).write_text("mine", encoding="utf-8")
    rename_old_files()
    assert capsys.readouterr().out == ""
    assert all((desk / name).exists() for name in others)


def test_a_file_that_cannot_be_renamed_stops_nothing(
    desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("in use")

    (desk / "ex08.py").write_text(WORK, encoding="utf-8")
    monkeypatch.setattr(Path, "replace", refuse)
    assert stepper.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "could not rename lessons/exercises/ex08.py to 08_layernorm.py" in shown
    assert (desk / "ex08.py").read_text(encoding="utf-8") == WORK
    assert (desk / "08_layernorm.py").exists()


@pytest.mark.parametrize(
    "command", [[], ["list"], ["hint", "8"], ["reveal", "8"], ["hunt", "8"], ["train", "7"]]
)
def test_every_command_finds_the_old_files(
    desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    (desk / "ex08.py").write_text(WORK, encoding="utf-8")
    monkeypatch.setattr(stepper, "_state", lambda _: "not started")
    try:
        stepper.main(command)
    except SystemExit as end:
        assert end.code == 2
    assert "lessons/exercises/ex08.py is now 08_layernorm.py\n" in capsys.readouterr().out
    assert files.exercise_path(8).read_text(encoding="utf-8") == WORK


def test_a_check_says_once_that_a_file_is_renamed(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (course / "exercises" / "ex08.py").write_text(WORK, encoding="utf-8")
    assert stepper.main(["check", "8"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("is now 08_layernorm.py") == 1
    assert "passed" in shown


def test_a_lesson_finds_the_old_files(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "ex08.py").write_text(WORK, encoding="utf-8")
    Lesson(8, mine=True)
    assert "lessons/exercises/ex08.py is now 08_layernorm.py\n" in capsys.readouterr().out
    assert files.exercise_path(8).read_text(encoding="utf-8") == WORK


def git(folder: Path, *arguments: str, fails: bool = False) -> str:
    """Run git as a learner would; return what it printed."""
    identity = ("-c", "user.name=learner", "-c", "user.email=learner@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def clone_behind(tmp_path: Path, old_docstring: str) -> Path:
    """Return a learner's clone with work on ex08.py, one commit behind a version with the new names."""
    upstream, clone = tmp_path / "upstream", tmp_path / "clone"
    exercises = upstream / "lessons" / "exercises"
    exercises.mkdir(parents=True)
    git(upstream, "init", "--quiet", "--initial-branch=main")
    for number in (4, 8):
        old = files.stub(number).replace("Returns (y, saved)", old_docstring)
        (exercises / f"ex{number:02}.py").write_text(old, encoding="utf-8")
    git(upstream, "add", "--all")
    git(upstream, "commit", "--quiet", "-m", "old names")
    git(tmp_path, "clone", "--quiet", str(upstream), str(clone))
    (clone / "lessons" / "exercises" / "ex08.py").write_text(WORK, encoding="utf-8")
    for number in (4, 8):
        new = f"{files.lesson_path(number).stem}.py"
        git(upstream, "mv", f"lessons/exercises/ex{number:02}.py", f"lessons/exercises/{new}")
        (exercises / new).write_text(files.stub(number), encoding="utf-8")
    git(upstream, "commit", "--quiet", "--all", "-m", "new names")
    return clone


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("is_similar", [True, False])
@pytest.mark.parametrize("how", ["stash", "commit"])
def test_work_survives_a_pull(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, is_similar: bool
) -> None:
    """Git moves the work to the new name, or if the stub was rewritten, leaves the old file in conflict."""
    reworded = "\n    ".join(f"In {n} other words:" for n in range(100))
    pulled = clone_behind(tmp_path, "Return a pair (y, saved)" if is_similar else reworded)
    assert "would be overwritten" in git(pulled, "pull", "--ff-only", fails=True)
    if how == "stash":
        git(pulled, "stash")
        git(pulled, "pull", "--ff-only")
        git(pulled, "stash", "pop", fails=not is_similar)
    else:
        git(pulled, "commit", "--quiet", "--all", "-m", "my work")
        git(pulled, "pull", "--no-rebase", "--no-edit", fails=not is_similar)
    exercises = pulled / "lessons" / "exercises"
    assert (exercises / "ex08.py").exists() == (not is_similar)
    monkeypatch.setattr(files, "exercise_folder", lambda: exercises)
    rename_old_files()
    assert sorted(path.name for path in exercises.iterdir()) == ["04_matmul.py", "08_layernorm.py"]
    assert files.same_code(files.exercise_path(8).read_text(encoding="utf-8"), WORK)
    assert files.is_untouched(4)
