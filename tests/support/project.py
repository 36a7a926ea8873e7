"""The project's folder, the CPU backends, and what running a command gives."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent

CPU_BACKENDS = ("reference", "numpy")


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str
