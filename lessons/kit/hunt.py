"""The bug hunt: plant one or two known mistakes in a copy of the answer, and check the learner's guess."""

import contextlib
import itertools
import random
from pathlib import Path

from lessons.kit import files
from lessons.kit.files import Fault, Missing


def hunt_path(number: int) -> Path:
    """Return the file with the planted mistakes."""
    return files.exercise_folder() / f"{files.lesson_path(number).stem}_hunt.py"


def hunt(number: int, names: list[str], new: bool) -> int:
    """Plant mistakes, or check a guess; return the exit code, 1 for a wrong guess.

    Args:
        number: the lesson's number.
        names: the guess, ids of mistakes; if empty, plant mistakes or show those that may be planted.
        new: whether to replace a hunt that is not solved yet.
    """
    if names:
        return _guess(number, names)
    known, path = files.faults(number), hunt_path(number)
    if new or not path.exists():
        count = random.choice((1, 1, 2))
        path.write_text(random.choice([*_choices(number, count).values()]), encoding="utf-8")
    else:
        print(f"You have not solved this hunt yet; python -m lessons hunt {number} --new starts another.")
    mistakes, guess = {1: ("a mistake", "NAME"), 2: ("two mistakes", "NAME NAME")}[len(_planted(number))]
    print(f"{files.shown(path)} contains {mistakes}. Which of these?\n")
    width = max(len(fault.id) for fault in known)
    for fault in known:
        print(f"  {fault.id:<{width}} {fault.name}")
    print(f"\nAnswer with: python -m lessons hunt {number} {guess}")
    return 0


def _guess(number: int, names: list[str]) -> int:
    """Print whether these are the planted mistakes; if so, the hunt is over."""
    known, path = {fault.id: fault for fault in files.faults(number)}, hunt_path(number)
    for name in names:
        if name not in known:
            raise Missing(
                f"{name} is not a known mistake of lesson {number}; expected one of {', '.join(known)}"
            )
    if not path.exists():
        raise Missing(f"{files.shown(path)} does not exist; start with python -m lessons hunt {number}")
    planted = _planted(number)
    if set(names) == {fault.id for fault in planted}:
        path.unlink()
        print("Found.")
        for fault in planted:
            print(f"  {fault.id}: {fault.why}")
        print(f"\nAnother hunt: python -m lessons hunt {number}. All lessons: python -m lessons")
        return 0
    wrong = "That is not it." if len(planted) == 1 else "That is not it, or only one of the two is."
    print(f"{wrong} Run the file on a case that you can work out by hand.")
    return 1


def _choices(number: int, count: int) -> dict[tuple[Fault, ...], str]:
    """Return the mistakes, or pairs of them, that can be planted together, with the resulting text."""
    source = files.answer_path(number).read_text(encoding="utf-8")
    source = source.replace("The answer to exercise", "A wrong answer to exercise")
    possible = {}
    for chosen in itertools.combinations(files.faults(number), count):
        with contextlib.suppress(ValueError):  # both on one line
            possible[chosen] = files.patched(source, *chosen)
    return possible


def _planted(number: int) -> tuple[Fault, ...]:
    """Return the mistakes in the hunt's file, in which comments and docstrings may have changed.

    Raises:
        Missing: the code in the file was edited.
    """
    path = hunt_path(number)
    text = path.read_text(encoding="utf-8")
    planted = {**_choices(number, 1), **_choices(number, 2)}
    for same in (str.__eq__, files.same_code):  # parsing all of them takes a while, so identical text first
        for chosen, source in planted.items():
            if same(text, source):
                return chosen
    raise Missing(
        f"the code in {files.shown(path)} is no longer what was planted; "
        f"python -m lessons hunt {number} --new starts another hunt"
    )
