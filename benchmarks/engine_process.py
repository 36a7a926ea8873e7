"""Engines in separate processes that take turns, the way people run them: one engine in a program."""

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.engines import encode
from benchmarks.models import Workload
from benchmarks.results import ROOT
from benchmarks.timing import PAUSE


class EngineFailed(Exception):
    """An engine could not do its work; `out_of_memory` says whether that is why."""

    def __init__(self, reason: str, out_of_memory: bool = False) -> None:
        super().__init__(reason)
        self.out_of_memory = out_of_memory


class Server:
    """A module run as a program that answers lines of input with lines of JSON.

    The answer `{"failed": reason}` means that it gives up; `"out_of_memory"` may say that this is why.
    """

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - an unread pipe could fill up and block
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def send(self, line: object) -> None:
        """Send a line; if the process has ended, the next `answer` says why."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(line, file=self._process.stdin, flush=True)

    def answer(self, seconds: float | None = None) -> Any:
        """Return the next answer, waiting at most `seconds` for it.

        Raises:
            EngineFailed: the process gave up, ended or took longer; it is closed.
        """
        stdout = self._process.stdout
        assert stdout is not None
        if seconds is not None and not select.select([stdout], [], [], max(0.0, seconds))[0]:
            self.close(at_once=True)
            raise EngineFailed(f"no answer within {max(0.0, seconds):.0f} s")
        line = stdout.readline()
        if not line:
            self._errors.seek(0)
            lines = [each for each in self._errors.read().split("\n") if each.strip()]
            self.close()
            raise EngineFailed(lines[-1] if lines else "the process ended without a message")
        answer = json.loads(line)
        if isinstance(answer, dict) and "failed" in answer:
            self.close(at_once=True)
            raise EngineFailed(answer["failed"], answer.get("out_of_memory", False))
        return answer

    def close(self, at_once: bool = False) -> None:
        """Let the process finish its work and end, or end it at once; closing twice does nothing."""
        if self._errors.closed:
            return
        if at_once:
            self._process.kill()
        self._process.communicate()
        self._errors.close()


class EngineProcess(Server):
    """A process that holds one engine and its model; see `benchmarks.engine_server`.

    Attributes:
        first: what the engine's first call returned: the loss of a step, or the tokens of a continuation.
    """

    def __init__(self, engine: str, workload: Workload, threads: int) -> None:
        super().__init__("benchmarks.engine_server", [engine, str(threads), *encode(workload)])
        self.first = self.answer()["ready"]

    def turn(self, calls: int) -> list[float]:
        """Return the seconds of each of `calls` calls, which follow one that is not timed."""
        self.send(calls)
        return list(self.answer())


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
