"""The bug hunt: one or two known mistakes, planted in a copy of the answer."""

import itertools
import random
from pathlib import Path

from lessons.kit import files
from lessons.kit.files import Fault, Missing


def hunt_path(number: int) -> Path:
    """Return the file with a planted mistake."""
    return files.LESSONS / "exercises" / f"hunt{number:02}.py"


def hunt(number: int, names: list[str], new: bool) -> int:
    """Plant mistakes, or see whether the learner has found them; return 1 if not."""
    if names:
        return _guess(number, names)
    known, path = files.faults(number), hunt_path(number)
    if new or not path.exists():
        count = random.choice((1, 1, 2))
        chosen = random.choice([*_choices(number, count)])
        path.write_text(_text(number, chosen), encoding="utf-8")
    else:
        print(f"You have not solved this one yet; python -m lessons hunt {number} --new plants another.")
    mistakes, guess = {1: ("a mistake", "NAME"), 2: ("two mistakes", "NAME NAME")}[len(_planted(number))]
    print(f"lessons/exercises/{path.name} has {mistakes}. Which of these?\n")
    width = max(len(fault.id) for fault in known)
    for fault in known:
        print(f"  {fault.id:<{width}} {fault.name}")
    print(f"\nThen: python -m lessons hunt {number} {guess}")
    return 0


def _guess(number: int, names: list[str]) -> int:
    """Say whether these are the planted mistakes; once they are found, the hunt is over."""
    known, path = {fault.id: fault for fault in files.faults(number)}, hunt_path(number)
    for name in names:
        if name not in known:
            raise Missing(f"{name} is not among the mistakes of lesson {number}; expected {', '.join(known)}")
    if not path.exists():
        raise Missing(
            f"there is no lessons/exercises/{path.name}; begin with python -m lessons hunt {number}"
        )
    planted = _planted(number)
    if set(names) == {fault.id for fault in planted}:
        path.unlink()
        print("Found.")
        for fault in planted:
            print(f"  {fault.id}: {fault.why}")
        print(f"\nAnother: python -m lessons hunt {number}. All lessons: python -m lessons")
        return 0
    not_it = "Not it." if len(planted) == 1 else "Not it, or not both of them."
    print(f"{not_it} Run the file on a case that you can do by hand.")
    return 1


def _choices(number: int, count: int) -> list[tuple[Fault, ...]]:
    """Return the mistakes, or pairs of them, that can be planted together."""
    source = files.answer_path(number).read_text(encoding="utf-8")
    possible = []
    for chosen in itertools.combinations(files.faults(number), count):
        try:
            files.patched(source, *chosen)
        except ValueError:  # two on one line
            continue
        possible.append(chosen)
    return possible


def _text(number: int, chosen: tuple[Fault, ...]) -> str:
    source = files.answer_path(number).read_text(encoding="utf-8")
    return files.patched(source, *chosen).replace("The answer to exercise", "A wrong answer to exercise")


def _planted(number: int) -> tuple[Fault, ...]:
    """Return the mistakes that are in the file.

    Raises:
        Missing: none gives its text, because it has been edited.
    """
    text = hunt_path(number).read_text(encoding="utf-8")
    for chosen in [*_choices(number, 1), *_choices(number, 2)]:
        if _text(number, chosen) == text:
            return chosen
    raise Missing(
        f"lessons/exercises/{hunt_path(number).name} is no longer what was planted; "
        f"python -m lessons hunt {number} --new plants another"
    )
