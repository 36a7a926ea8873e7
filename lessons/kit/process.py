"""The check in a process of its own, since a learner's code may run for ever or end the program."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lessons.kit import files

LAST_LINES = 10  # of what the learner's code has printed, where it ran too long


@dataclass(frozen=True)
class Checked:
    """How a check in a process of its own has ended.

    Attributes:
        passed: whether everything is right.
        printed: what the learner's code wrote.
        report: the check's own words, or what ended it.
        state: in a word or two, if it did not come to its end.
    """

    passed: bool
    printed: str
    report: str
    state: str = ""


def check_apart(number: int, seconds: float) -> Checked:
    """Check an exercise in a process of its own, for so many seconds at most."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "report.txt")
        command = [sys.executable, "-m", "lessons", "check", str(number), "--report", str(told)]
        with subprocess.Popen(
            command, cwd=files.LESSONS.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace",
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                if hasattr(signal, "SIGABRT"):
                    process.send_signal(signal.SIGABRT)  # faulthandler then writes where it is
                else:
                    process.kill()
                out, err = process.communicate()
                return _too_long(number, seconds, out, err)
        if not told.exists():
            return _ended(number, out, err)
        return Checked(process.returncode == 0, out + err, told.read_text(encoding="utf-8"))


def _too_long(number: int, seconds: float, out: str, err: str) -> Checked:
    name = files.exercise_path(number).name
    line = re.search(rf'{re.escape(name)}", line (\d+)', err)
    lines = out.splitlines(keepends=True)
    hidden = f"... {len(lines) - LAST_LINES} lines before these\n" if len(lines) > LAST_LINES else ""
    state = f"still ran after {seconds:g} s"
    where = f"{name}:{line[1]}" if line else name
    report = f"lesson {number:02}: {where} {state}; is there a loop that never ends?\n"
    return Checked(False, hidden + "".join(lines[-LAST_LINES:]), report, state)


def _ended(number: int, out: str, err: str) -> Checked:
    """Return what to say of a program that has ended without its report: os._exit, or a crash of Python."""
    name = files.exercise_path(number).name
    report = f"lesson {number:02}: something in {name} ended the program before the check was done\n"
    return Checked(False, out + err, report, "ended the program")
