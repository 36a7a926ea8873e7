"""Engines in processes of their own, as people run them, that take turns."""

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.models import Job
from benchmarks.program import ROOT
from benchmarks.timing import PAUSE


class EngineFailed(Exception):
    """The engine could not do its job."""


class EngineProcess:
    """A process that holds one engine and its model; see `benchmarks.engine_server`.

    Attributes:
        first: what the engine's first call returned: a step's loss, or the tokens of a text.
    """

    def __init__(self, engine: str, job: Job, threads: int) -> None:
        fields = {**job._asdict(), "config": dataclasses.asdict(job.config)}
        arguments = [type(job).__name__, engine, str(threads), json.dumps(fields)]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # a pipe that nobody reads can fill up
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.engine_server", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        answer = self._answer()
        if "failed" in answer:
            self.close()
            raise EngineFailed(answer["failed"])
        self.first = answer["ready"]

    def turn(self, calls: int) -> list[float]:
        """Return the seconds of so many calls, made after one that is not timed."""
        assert self._process.stdin is not None
        print(calls, file=self._process.stdin, flush=True)
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
            raise EngineFailed(next((line for line in reversed(lines) if line.strip()), "the process ended"))
        return json.loads(line)


def take_turns_apart(
    processes: Mapping[str, EngineProcess], turns: int, calls: int
) -> dict[str, list[float]]:
    """Return the seconds of every timed call, by engine; one engine runs while the others wait."""
    seconds: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(turns):
        for name, process in processes.items():
            time.sleep(PAUSE)
            seconds[name] += process.turn(calls)
    return seconds
