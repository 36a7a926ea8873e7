"""The stepper: where a learner is, what is next, and what is wrong with it."""

import argparse
import faulthandler
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lessons.kit import check, files, report
from lessons.kit.exercise import Exercise
from lessons.kit.files import Missing
from lessons.specs import EXERCISES

SECONDS = 20.0  # that a check may take before it counts as endless


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
        "hunt": "find a planted mistake: 'hunt 8', then 'hunt 8 NAME'",
    }.items():
        command = commands.add_parser(name, help=help_)
        command.add_argument("number", type=int)
        if name == "hunt":
            command.add_argument("names", nargs="*", help="what you think it is")
        if name == "hint":
            command.add_argument("--level", type=int, choices=(1, 2, 3), default=1)
        if name == "check":
            command.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    commands.add_parser("watch", help="check again whenever you save")
    commands.add_parser("list", help="all lessons")
    arguments = parser.parse_args(argv)
    try:
        return _run(arguments)
    except Missing as error:
        print(f"python -m lessons: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace) -> int:
    """Do what a command says."""
    match arguments.command:
        case "check":
            return _check(arguments.number, arguments.here)
        case "hint":
            return _hint(arguments.number, arguments.level)
        case "hunt":
            return _hunt(arguments.number, arguments.names)
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


def _check(number: int, here: bool) -> int:
    """Check in a process of its own, which may run for ever; `here` says that this is it."""
    found = exercise(number)
    if here:
        faulthandler.enable()
        result = check.check(found)
        print(report.text_of(result))
        return 0 if result.state == check.PASSED else 1
    try:
        done = _in_a_process(number)
    except subprocess.TimeoutExpired as error:
        name = files.exercise_path(number).name
        found_line = re.search(
            rf'{re.escape(name)}", line (\d+)', str(error.stderr or b"", "utf-8", "replace")
        )
        where = f"{name}:{found_line[1]}" if found_line else name
        print(f"lesson {number:02}: {where} still ran after {SECONDS:g} s; is there a loop that never ends?")
        return 1
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


def _in_a_process(number: int) -> "subprocess.CompletedProcess[str]":
    """Check in a process of its own, which may run for ever.

    Raises:
        subprocess.TimeoutExpired: it did; its `stderr` says where it was.
    """
    command = [sys.executable, "-m", "lessons", "check", str(number), "--here"]
    with subprocess.Popen(
        command, cwd=files.LESSONS.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired as late:
            if hasattr(signal, "SIGABRT"):
                process.send_signal(signal.SIGABRT)  # faulthandler then writes where it is
            _, err = process.communicate()
            late.stderr = err.encode()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _status() -> int:
    """Show every lesson with what its file deserves now, and what is next."""
    following = None
    for number, found in EXERCISES.items():
        state = _state(number)
        mark = {check.PASSED: "x", check.NOT_STARTED: " "}.get(state, "~")
        print(f"[{mark}] {number:02}  {found.title:<50} {state}")
        if following is None and state != check.PASSED:
            following = number
    if following is None:
        print("\nAll done. python train.py --mine all trains a GPT made of your own parts.")
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
        print(f"{number:02}  {found.title:<50} lessons/{files.lesson_path(number).name}")
    return 0


def _state(number: int) -> str:
    """Return how a lesson's file stands; one that runs for ever counts as wrong."""
    if files.is_untouched(number):
        return check.NOT_STARTED
    try:
        done = _in_a_process(number)
    except subprocess.TimeoutExpired:
        return check.WRONG
    return check.PASSED if done.returncode == 0 else check.WRONG


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


def hunt_path(number: int) -> Path:
    """Return the file with a planted mistake."""
    return files.LESSONS / "exercises" / f"hunt{number:02}.py"


def _hunt(number: int, names: list[str]) -> int:
    """Plant one or two mistakes in a copy of the answer, or see whether the learner has found them."""
    exercise(number)
    known = {fault.id: fault for fault in files.faults(number)}
    source, path = files.answer_path(number).read_text(encoding="utf-8"), hunt_path(number)
    if not names:
        chosen = random.sample(list(known.values()), k=random.choice((1, 1, 2)) if len(known) > 1 else 1)
        try:
            text = files.patched(source, *chosen)
        except ValueError:  # two on one line
            chosen = chosen[:1]
            text = files.patched(source, *chosen)
        path.write_text(
            text.replace("The answer to exercise", "A wrong answer to exercise"), encoding="utf-8"
        )
        mistakes = "a mistake" if len(chosen) == 1 else "two mistakes"
        print(f"lessons/exercises/{path.name} has {mistakes}. Which of these?\n")
        for fault in known.values():
            print(f"  {fault.id:<16} {fault.name}")
        print(f"\nThen: python -m lessons hunt {number} NAME" + (" NAME" if len(chosen) == 2 else ""))
        return 0
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Missing(
            f"{unknown[0]} is not among the mistakes of lesson {number}; expected {', '.join(known)}"
        )
    if not path.exists():
        raise Missing(
            f"there is no lessons/exercises/{path.name}; begin with python -m lessons hunt {number}"
        )
    guess = files.patched(source, *(known[name] for name in names))
    if guess.replace("The answer to exercise", "A wrong answer to exercise") == path.read_text(
        encoding="utf-8"
    ):
        print("Found. " + " ".join(known[name].why for name in names))
        return 0
    print("Not it, or not all of it. Run the file on a case that you can do by hand.")
    return 1


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
                _check(number, here=False)
        time.sleep(0.5)
