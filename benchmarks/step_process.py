"""Engines in processes of their own, as people run them, that take turns."""

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.models import Row
from benchmarks.program import ROOT
from benchmarks.timing import PAUSE


class StepFailed(Exception):
    """The engine could not take a first step."""


class StepProcess:
    """A process that holds one engine, its model and its optimizer; see `benchmarks.step_server`."""

    def __init__(self, engine: str, row: Row, threads: int) -> None:
        fields = {"config": dataclasses.asdict(row.config), "batch_size": row.batch_size}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # a pipe that nobody reads can fill up
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.step_server", engine, str(threads), json.dumps(fields)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        first = self._answer()
        if "failed" in first:
            self.close()
            raise StepFailed(first["failed"])

    def turn(self, steps: int) -> list[float]:
        """Return the seconds of so many steps, taken after one that is not timed."""
        assert self._process.stdin is not None
        print(steps, file=self._process.stdin, flush=True)
        return list(self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            lines = self._errors.read().split("\n")
            self.close()
            raise StepFailed(next((line for line in reversed(lines) if line.strip()), "the process ended"))
        return json.loads(line)


def take_turns_apart(processes: Mapping[str, StepProcess], turns: int, steps: int) -> dict[str, list[float]]:
    """Return the seconds of every timed step, by engine; one engine runs while the others wait."""
    seconds: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(turns):
        for name, process in processes.items():
            time.sleep(PAUSE)
            seconds[name] += process.turn(steps)
    return seconds
