"""What every task of the GPU benchmark is given: a place for its figures, its time, its models."""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import scratchgpt as sg
from benchmarks.models import Row
from scratchgpt.utils.files import atomic_path

RESERVE = 3.0  # seconds that a task keeps for its end

_ROWS = {
    "780": Row(sg.GPTConfig(34, 64, 1, 1, 4, tie_weights=False), 1),
    "6x6x384": Row(sg.GPTConfig(65, 256, 6, 6, 384), 64),
    "124M": Row(sg.GPTConfig(50257, 1024, 12, 12, 768), 32),
}
_TINY = {
    "780": Row(sg.GPTConfig(11, 8, 1, 1, 4, tie_weights=False), 1),
    "6x6x384": Row(sg.GPTConfig(11, 16, 2, 2, 32), 2),
    "124M": Row(sg.GPTConfig(97, 16, 1, 2, 32), 2),
}
ROWS = tuple(_ROWS)  # the models that are measured


class LeftOut(Exception):
    """Something that cannot be measured here; the message says why."""


class Job:
    """A task that is running.

    Args:
        path: the JSON file that its figures go to.
        seconds: how long it may take.
        emulated: whether an emulator stands in for the GPU, and tiny models for the real ones.
    """

    def __init__(self, path: Path, seconds: float, emulated: bool) -> None:
        self.path = path
        self.emulated = emulated
        self._deadline = time.monotonic() + seconds - RESERVE
        if emulated:
            emulate()

    @property
    def seconds_left(self) -> float:
        """How many seconds are left, without what is kept for the end."""
        return self._deadline - time.monotonic()

    def save(self, figures: dict[str, Any]) -> None:
        """Write the figures so far; what was saved is kept if the task is stopped later."""
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(figures), encoding="utf-8")

    def row(self, name: str) -> Row:
        """Return a model with its batch; a tiny one for the emulator."""
        return (_TINY if self.emulated else _ROWS)[name]


def emulate() -> None:
    """Let `import cupy` find the emulator of the tests, which needs no GPU."""
    importlib.import_module("tests.gpu_emulation.install").install()


def load_torch(module: str = "torch") -> Any:
    """Import a module that needs PyTorch.

    Raises:
        LeftOut: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise LeftOut(f"{error.name or module} is not installed") from None


def one_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its name."""
    return str(error).strip().split("\n")[0][:300] or type(error).__name__


def say(text: str) -> None:
    """Print a line at once, for whoever watches."""
    print(text, file=sys.stderr, flush=True)
