"""The stepper: where a learner is, what is next, and what is wrong with it."""

import argparse
import faulthandler
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lessons.kit import check, files, hunt, report
from lessons.kit.exercise import Exercise
from lessons.kit.files import Missing
from lessons.kit.process import check_apart
from lessons.kit.train import train
from lessons.specs import EXERCISES

SECONDS = 20.0  # that a check may take before it counts as endless
GLANCE = 10.0  # the same where all lessons are looked at


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 where a check has not passed."""
    parser = argparse.ArgumentParser(
        prog="python -m lessons", description="Step through the lessons; without a command: where am I?"
    )
    commands = parser.add_subparsers(dest="command")
    for name, help_ in {
        "check": "say what is right, what is wrong and what it is",
        "hint": "a nudge; --level 2 and 3 say more",
        "reveal": "show what leads from your file to the answer",
        "reset": "start again; your file is kept as a backup",
        "hunt": "find planted mistakes, one or two: 'hunt 8', then 'hunt 8 NAME'",
    }.items():
        command = commands.add_parser(name, help=help_)
        command.add_argument("number", type=int)
        if name == "hunt":
            command.add_argument("names", nargs="*", default=[], help="what you think it is")
            command.add_argument("--new", action="store_true", help="another one, in the place of this one")
        if name == "hint":
            command.add_argument("--level", type=int, choices=(1, 2, 3), default=1)
        if name == "check":
            command.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    training = commands.add_parser("train", help="train a GPT made of your exercises")
    training.add_argument("numbers", help="lessons, e.g. 4,5,8, or all; every option of train.py may follow")
    commands.add_parser("watch", help="check again whenever you save")
    commands.add_parser("list", help="all lessons")
    arguments, options = parser.parse_known_args(argv)
    if options and arguments.command != "train":
        parser.error(f"unrecognized arguments: {' '.join(options)}")
    try:
        return train(arguments.numbers, options) if arguments.command == "train" else _run(arguments)
    except Missing as error:
        print(f"python -m lessons: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace) -> int:
    """Do what a command says."""
    match arguments.command:
        case "check":
            return _check(arguments.number, arguments.report)
        case "hint":
            return _hint(arguments.number, arguments.level)
        case "hunt":
            return hunt.hunt(exercise(arguments.number).number, arguments.names, arguments.new)
        case "reveal" | "reset":
            return {"reveal": _reveal, "reset": _reset}[arguments.command](arguments.number)
        case command:
            return {"watch": _watch, "list": _list, None: _status}[command]()


def exercise(number: int) -> Exercise:
    """Return the exercise of a lesson."""
    if number not in EXERCISES:
        known = ", ".join(map(str, EXERCISES))
        raise Missing(f"lesson {number} has no exercise; expected one of {known}")
    return EXERCISES[number]


def _check(number: int, report_path: Path | None = None) -> int:
    """Check in a process of its own; with a path this is that process, and the report goes there."""
    found = exercise(number)
    if report_path is not None:
        faulthandler.enable()
        result = check.check(found)
        report_path.write_text(report.text_of(result) + "\n", encoding="utf-8")
        return 0 if result.state == check.PASSED else 1
    checked = check_apart(number, SECONDS)
    print(checked.printed + checked.report, end="")
    return 0 if checked.passed else 1


def _status() -> int:
    """Show every lesson with what its file deserves now, and what is next."""
    following, width = None, _title_width()
    for number, found in EXERCISES.items():
        state = _state(number)
        mark = {check.PASSED: "x", check.NOT_STARTED: " "}.get(state, "~")
        print(f"[{mark}] {number:02}  {found.title:<{width}} {state}")
        if following is None and state != check.PASSED:
            following = number
    if following is None:
        print("\nAll done. python -m lessons train all trains a GPT made of your own parts.")
        return 0
    path = files.lesson_path(following)
    print(
        f"\nNext: read and run  python lessons/{path.name}"
        f"\n      then write    lessons/exercises/{files.exercise_path(following).name}"
        f"\n      and           python -m lessons check {following}"
    )
    return 0


def _list() -> int:
    """Show the lessons and where they are."""
    for number, found in EXERCISES.items():
        print(f"{number:02}  {found.title:<{_title_width()}} lessons/{files.lesson_path(number).name}")
    return 0


def _title_width() -> int:
    return max(len(found.title) for found in EXERCISES.values())


def _state(number: int) -> str:
    """Return how a lesson's file stands."""
    if files.is_untouched(number):
        return check.NOT_STARTED
    checked = check_apart(number, GLANCE)
    return check.PASSED if checked.passed else checked.state or check.WRONG


def _hint(number: int, level: int) -> int:
    """Show the hints up to a level for each function."""
    for function, hints in exercise(number).hints.items():
        print(f"{function}:")
        for hint in hints[:level]:
            print(f"  - {hint}")
    if level < 3:
        print(f"\nMore: python -m lessons hint {number} --level {level + 1}")
    return 0


def _reveal(number: int) -> int:
    """Show the difference between the learner's file and the answer."""
    exercise(number)
    print(files.diff_to_answer(number) or "Your file is the answer, to the letter.")
    return 0


def _reset(number: int) -> int:
    """Put the stub back."""
    exercise(number)
    backup = files.reset(number)
    kept = f"; what was there is in {backup.name}" if backup else ""
    print(f"lessons/exercises/{files.exercise_path(number).name} is as it was at the beginning{kept}")
    return 0


def _watch() -> int:
    """Check the next lesson whenever one of the files is saved."""
    print("Watching lessons/exercises. Ctrl-C ends it.")
    seen: dict[int, float] = {}
    while True:
        for number in EXERCISES:
            path = files.exercise_path(number)
            saved = path.stat().st_mtime if path.exists() else 0.0
            if seen.setdefault(number, saved) != saved:
                seen[number] = saved
                _check(number)
        time.sleep(0.5)
