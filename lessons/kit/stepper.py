"""The command line of the lessons: where the learner is, what is next, and its commands."""

import argparse
import faulthandler
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lessons.kit import check, files, hunt, report
from lessons.kit.exercise import Exercise
from lessons.kit.files import Missing
from lessons.kit.old_names import rename_old_files
from lessons.kit.process import check_apart
from lessons.kit.train import train
from lessons.specs import EXERCISES

CHECK_SECONDS = 20.0  # time limit of a check
STATUS_SECONDS = 10.0  # the same for each lesson when all are checked


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 if a check did not pass, 2 for bad input.

    The exit code is 141, as shells report it for SIGPIPE, if the reader of the output stops early (`| head`).
    """
    try:
        try:
            return _main(argv)
        finally:
            sys.stdout.flush()  # raises here, not at exit, if the reader has gone
    except BrokenPipeError:  # e.g. head, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 141


def _main(argv: Sequence[str] | None) -> int:
    """Read the command line and run its command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lessons",
        description="Step through the lessons. Without a command, show your progress.",
    )
    commands = parser.add_subparsers(dest="command")
    for name, help_ in {
        "check": "check your exercise: what is right, what is wrong, and which mistake it is",
        "hint": "show hints; --level 2 and 3 say more",
        "reveal": "show the difference between your file and the answer",
        "reset": "start the exercise again; your file is kept as a backup",
        "hunt": "find one or two planted mistakes: 'hunt 8', then 'hunt 8 NAME'",
    }.items():
        command = commands.add_parser(name, help=help_, description=help_)
        command.add_argument("number", type=int, help="the lesson")
        if name == "hunt":
            command.add_argument("names", nargs="*", default=[], help="the mistakes you suspect")
            command.add_argument("--new", action="store_true", help="replace an unsolved hunt with another")
        if name == "hint":
            command.add_argument(
                "--level", type=int, choices=(1, 2, 3), default=1, help="how much to say (default 1)"
            )
        if name == "check":
            command.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    training = commands.add_parser(
        "train",
        help="train a GPT made of your exercises",
        description="Train a GPT with your functions in place of the engine's. First both train for a few "
        "steps, and if the losses differ, the first wrong layer is named.",
        epilog="Example: python -m lessons train 4,5,8 --data my.txt --training.max_steps 500. "
        "python -m lessons train 4 --help lists all options of training.",
    )
    training.add_argument(
        "numbers",
        help="the lessons whose functions to use, e.g. 4,5,8, or the word all: every lesson you have started",
    )
    training.add_argument(
        "options", nargs=argparse.REMAINDER, metavar="...", help="any options of train.py, after the numbers"
    )
    commands.add_parser("watch", help="check an exercise whenever you save it")
    commands.add_parser("list", help="list all lessons")
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        order = "; the lesson numbers come before the options" if arguments.command == "train" else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{order}")
    try:
        return _run(arguments)
    except Missing as error:
        print(f"python -m lessons: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace) -> int:
    """Run a command; return the exit code."""
    if not getattr(arguments, "report", None):  # this is not the separate process of a check
        rename_old_files()
    match arguments.command:
        case "train":
            return train(arguments.numbers, arguments.options)
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
    """Return the exercise of a lesson.

    Raises:
        Missing: there is no such lesson.
    """
    if number not in EXERCISES:
        raise Missing(f"there is no lesson {number}; expected one from {min(EXERCISES)} to {max(EXERCISES)}")
    return EXERCISES[number]


def _check(number: int, report_path: Path | None = None) -> int:
    """Check in a separate process; with a path this is that process, which writes its report there."""
    found = exercise(number)
    if report_path is not None:
        faulthandler.enable()
        result = check.check(found)
        report_path.write_text(report.text_of(result) + "\n", encoding="utf-8")
        return 0 if result.state == check.PASSED else 1
    checked = check_apart(number, CHECK_SECONDS)
    print(checked.printed + checked.report, end="")
    return 0 if checked.passed else 1


def _status() -> int:
    """Show the state of every exercise, and what is next."""
    following, width = None, _title_width()
    for number, found in EXERCISES.items():
        state = _state(number)
        mark = {check.PASSED: "x", check.NOT_STARTED: " "}.get(state, "~")
        print(f"[{mark}] {number:02}  {found.title:<{width}} {state}")
        if following is None and state != check.PASSED:
            following = number
    if following is None:
        print("\nAll done. Now train a GPT made of your own functions: python -m lessons train all")
        return 0
    path = files.lesson_path(following)
    print(
        f"\nNext: read and run  python lessons/{path.name}"
        f"\n      then write    {files.shown(files.exercise_path(following))}"
        f"\n      and           python -m lessons check {following}"
    )
    return 0


def _list() -> int:
    """List the lessons and their files."""
    for number, found in EXERCISES.items():
        print(f"{number:02}  {found.title:<{_title_width()}} lessons/{files.lesson_path(number).name}")
    return 0


def _title_width() -> int:
    return max(len(found.title) for found in EXERCISES.values())


def _state(number: int) -> str:
    """Return the state of an exercise."""
    if files.is_untouched(number):
        return check.NOT_STARTED
    checked = check_apart(number, STATUS_SECONDS)
    return check.PASSED if checked.passed else checked.state or check.WRONG


def _hint(number: int, level: int) -> int:
    """Show the hints for each function, up to a level."""
    for function, hints in exercise(number).hints.items():
        print(f"{function}:")
        for hint in hints[:level]:
            print(f"  - {hint}")
    if level < 3:
        print(f"\nFor more: python -m lessons hint {number} --level {level + 1}")
    return 0


def _reveal(number: int) -> int:
    """Show the difference between the learner's file and the answer."""
    exercise(number)
    print(files.diff_to_answer(number) or "Your file is identical to the answer.")
    return 0


def _reset(number: int) -> int:
    """Put the stub back."""
    exercise(number)
    backup = files.reset(number)
    kept = f"; your version is in {backup.name}" if backup else ""
    print(f"{files.shown(files.exercise_path(number))} is reset{kept}")
    return 0


def _watch() -> int:
    """Check an exercise whenever its file is saved, until Ctrl-C."""
    print("Watching lessons/exercises; press Ctrl-C to stop.")
    seen: dict[int, float] = {}
    while True:
        for number in EXERCISES:
            path = files.exercise_path(number)
            saved = path.stat().st_mtime if path.exists() else 0.0
            if seen.setdefault(number, saved) != saved:
                seen[number] = saved
                _check(number)
        time.sleep(0.5)
