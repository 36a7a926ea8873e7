"""Rename a learner's files that still have the names of earlier versions of the course.

An exercise used to be `ex08.py`, a backup of it `ex08-20260131-120000.bak`, and a bug hunt `hunt08.py`. Git
may leave such a file behind if it was changed, and unpacking a new version over an old one leaves them all.
"""

import re
from pathlib import Path

from lessons.kit import files

OLD_NAME = re.compile(r"(?P<kind>ex|hunt)(?P<number>\d\d)(?P<time>-\d{8}-\d{6})?\.(?P<ending>py|bak)")


def rename_old_files() -> None:
    """Give every file with an old name its new one, and print a line for each; no work is lost."""
    for old in sorted(files.exercise_folder().glob("*")):
        found = OLD_NAME.fullmatch(old.name)
        if found is None:
            continue
        try:
            stem = files.lesson_path(number := int(found["number"])).stem
        except files.Missing:
            continue
        kind = "_hunt" if found["kind"] == "hunt" else ""
        new = old.with_name(f"{stem}{kind}{found['time'] or ''}.{found['ending']}")
        is_exercise = new == files.exercise_path(number)
        try:
            print(_replace_exercise(old, new, number) if is_exercise else _rename(old, new))
        except OSError as error:
            print(f"could not rename {files.shown(old)} to {new.name}, please do it by hand: {error}")


def _replace_exercise(old: Path, new: Path, number: int) -> str:
    """Move an exercise to its new name, unless the file there has been worked on; return what to print."""
    if new.exists():
        if not _has_work(old, number):
            old.unlink()
            return f"{files.shown(old)} was not started and is deleted; {new.name} takes its place"
        if not _has_work(new, number):
            return _move(old, new)
    return _rename(old, new)


def _rename(old: Path, new: Path) -> str:
    """Rename a file if its new name is free; return what to print."""
    if not new.exists():
        return _move(old, new)
    if old.read_bytes() == new.read_bytes():
        old.unlink()
        return f"{files.shown(old)} was the same as {new.name} and is deleted"
    return (
        f"{files.shown(old)} and {new.name} both hold work of yours, and only {new.name} is read: "
        f"copy what you want to keep into it, then delete {old.name}"
    )


def _move(old: Path, new: Path) -> str:
    old.replace(new)
    return f"{files.shown(old)} is now {new.name}"


def _has_work(path: Path, number: int) -> bool:
    try:
        return files.holds_work(path.read_text(encoding="utf-8"), number)
    except UnicodeDecodeError:
        return True
