"""What a task of the GPU benchmark is given: a file for its figures, its time, its models."""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import scratchgpt as sg
from benchmarks.models import Row
from scratchgpt.utils.files import atomic_path

RESERVE = 3.0  # seconds of its time that a task keeps for ending

_ROWS = {
    "780": Row(sg.GPTConfig(34, 64, 1, 1, 4, tie_weights=False), 1),
    "6x6x384": Row(sg.GPTConfig(65, 256, 6, 6, 384), 64),
    "124M": Row(sg.GPTConfig(50257, 1024, 12, 12, 768), 32),
}
_EMULATED_ROWS = {
    "780": Row(sg.GPTConfig(11, 8, 1, 1, 4, tie_weights=False), 1),
    "6x6x384": Row(sg.GPTConfig(11, 16, 2, 2, 32), 2),
    "124M": Row(sg.GPTConfig(97, 16, 1, 2, 32), 2),
}
ROWS = tuple(_ROWS)  # names of the models that are measured


class LeftOut(Exception):
    """Something cannot be measured on this machine; the message says why."""


class Job:
    """A running task.

    Args:
        path: the JSON file for its figures.
        seconds: how long it may take.
        emulated: whether an emulator replaces the GPU, and tiny models the real ones.
    """

    def __init__(self, path: Path, seconds: float, emulated: bool) -> None:
        self.path = path
        self.emulated = emulated
        self._deadline = time.monotonic() + seconds - RESERVE
        if emulated:
            emulate()

    @property
    def seconds_left(self) -> float:
        """Seconds until the task should end."""
        return self._deadline - time.monotonic()

    def save(self, figures: dict[str, Any]) -> None:
        """Write the figures so far; they are kept even if the task is stopped later."""
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(figures), encoding="utf-8")

    def row(self, name: str) -> Row:
        """Return a model with its batch; under emulation a tiny one."""
        return (_EMULATED_ROWS if self.emulated else _ROWS)[name]


def emulate() -> None:
    """Make `import cupy` find the emulator of the tests, which needs no GPU."""
    importlib.import_module("tests.gpu_emulation.install").install()


def load_torch(module: str = "torch") -> Any:
    """Import a module that needs PyTorch.

    Raises:
        LeftOut: PyTorch is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise LeftOut(f"{error.name or module} is not installed") from None


def torch_device(emulated: bool) -> str:
    """Return the device PyTorch computes on: "cuda", or "cpu" under emulation.

    Raises:
        LeftOut: PyTorch is not installed, or finds no GPU.
    """
    torch = load_torch()
    if emulated:
        return "cpu"
    if not torch.cuda.is_available():
        raise LeftOut(f"PyTorch {torch.__version__} finds no GPU")
    return "cuda"


def one_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class."""
    return str(error).strip().split("\n")[0][:300] or type(error).__name__


def say(text: str) -> None:
    """Print progress to standard error, unbuffered."""
    print(text, file=sys.stderr, flush=True)
