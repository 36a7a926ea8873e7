"""Runs tasks one after the other within a time budget, each in its own process."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu.job import say
from benchmarks.gpu.tasks import Task
from benchmarks.results import ROOT, Content
from scratchgpt.utils.files import load_json

MIN_SECONDS = 5.0  # of a task; with less time it is not started
Command = Callable[[Task, Path, float], Sequence[str]]  # from a task, its result file and its seconds


class Found(NamedTuple):
    """A task's figures as far as it got, and why it did not finish; None if it did."""

    figures: Content | None
    reason: str | None


def run_tasks(
    tasks: Sequence[Task], budget: float, command: Command, save: Callable[[str, Content], None]
) -> None:
    """Run the tasks in order, and save what each found under its name.

    A task may take its share of the remaining seconds of the budget, relative to the tasks after it.
    """
    end = time.monotonic() + budget
    for i, task in enumerate(tasks):
        left = end - time.monotonic()
        seconds = left * task.share / sum(each.share for each in tasks[i:])
        say(f"{task.name}: at most {max(0.0, seconds):.0f} s")
        started = time.monotonic()
        if seconds < MIN_SECONDS:
            found = Found(None, f"no time left: {max(0.0, seconds):.1f} s")
        else:
            found = run_task(task, seconds, command)
        if found.reason is not None:
            say(f"{task.name}: {found.reason}")
        save(
            task.name,
            {
                "date": datetime.now(UTC).date().isoformat(),
                "seconds": round(time.monotonic() - started, 1),
                "reason": found.reason,
                "figures": found.figures,
            },
        )


def run_task(task: Task, seconds: float, command: Command) -> Found:
    """Run a task in its own process, which is killed with its children after `seconds`."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", errors="replace") as output:
        result = Path(folder, "result.json")
        process = subprocess.Popen(
            command(task, result, seconds),
            cwd=ROOT,
            stdout=output,
            stderr=output,
            process_group=0,  # so that its children can be killed with it
        )
        reason: str | None = None
        try:
            code = process.wait(seconds)
            if code:
                output.seek(0)
                lines = [line for line in output.read().split("\n") if line.strip()]
                reason = lines[-1].strip() if lines else f"it ended with exit code {code}"
        except subprocess.TimeoutExpired:
            reason = f"stopped after {seconds:.0f} s, its share of the time"
        finally:
            _kill(process)
        return Found(load_json(result) if result.exists() else None, reason)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a task's process and everything that it has started."""
    with contextlib.suppress(ProcessLookupError):  # all of them have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
