"""Run a check in a separate process, since a learner's code may loop forever or exit the program."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lessons.kit import files

TAIL_LINES = 10  # how much of the learner's output to show if the code ran too long


@dataclass(frozen=True)
class Checked:
    """The outcome of a check in a separate process.

    Attributes:
        passed: whether everything is right.
        printed: what the learner's code printed.
        report: the report of the check, or what stopped it.
        state: a short description if the check did not finish, else empty.
    """

    passed: bool
    printed: str
    report: str
    state: str = ""


def check_apart(number: int, seconds: float) -> Checked:
    """Check an exercise in a separate process, which is stopped after the given number of seconds."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.txt")
        command = [sys.executable, "-m", "lessons", "check", str(number), "--report", str(report)]
        with subprocess.Popen(
            command, cwd=files.LESSONS.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace",
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                if hasattr(signal, "SIGABRT"):
                    process.send_signal(signal.SIGABRT)  # faulthandler then prints where the code is
                else:
                    process.kill()
                out, err = process.communicate()
                return _too_long(number, seconds, out, err)
        if not report.exists():
            return _ended(number, out, err)
        return Checked(process.returncode == 0, out + err, report.read_text(encoding="utf-8"))


def _too_long(number: int, seconds: float, out: str, err: str) -> Checked:
    path = files.exercise_path(number)
    # The answer and the spec have the same name, so the folder counts.
    line = re.search(rf'{path.parent.name}[/\\]{re.escape(path.name)}", line (\d+)', err)
    lines = out.splitlines(keepends=True)
    hidden = f"... {len(lines) - TAIL_LINES} earlier lines\n" if len(lines) > TAIL_LINES else ""
    state = f"still running after {seconds:g} s"
    where = files.shown(path) + (f":{line[1]}" if line else "")
    report = f"lesson {number:02}: {where} {state}; is there an infinite loop?\n"
    return Checked(False, hidden + "".join(lines[-TAIL_LINES:]), report, state)


def _ended(number: int, out: str, err: str) -> Checked:
    """Return the outcome of a check that ended without a report: by os._exit, or a crash of Python."""
    where = files.shown(files.exercise_path(number))
    report = f"lesson {number:02}: something in {where} ended the program before the check was done\n"
    return Checked(False, out + err, report, "ended the program")
