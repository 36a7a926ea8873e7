"""The machine that a figure was measured on: what is recorded about it, and how a page names it."""

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.results import Content
from scratchgpt.utils.cores import usable_cores

MAX_BUSY_CORES = 0.2  # that other programs may use before a figure is marked as disturbed
LIBRARIES = {"python": "Python", "numpy": "NumPy", "torch": "PyTorch", "transformers": "transformers"}


class OtherPrograms:
    """Measures how busy other programs have kept the cores since this object was made."""

    def __init__(self) -> None:
        self._start = self._ticks()

    def busy_cores(self) -> float | None:
        """Return the mean number of cores that they kept busy; None where the system does not tell."""
        if self._start is None or (now := self._ticks()) is None:
            return None
        busy, mine, passed = (late - early for early, late in zip(self._start, now, strict=True))
        return max(0.0, busy - mine) / passed if passed else 0.0

    @staticmethod
    def _ticks() -> tuple[float, float, float] | None:
        """Return seconds: CPU time of all programs, CPU time of this one and its children, wall time."""
        if os.cpu_count() != usable_cores():  # /proc/stat would count the rest of a larger machine
            return None
        try:
            first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
        except OSError:
            return None
        user, nice, system, *_ = (int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in first.split()[1:])
        mine = os.times()
        return user + nice + system, sum(mine[:4]), mine.elapsed


def describe(others: OtherPrograms | None = None) -> Content:
    """Return date, machine, library versions and the load by other programs, for the JSON file.

    "busy_cores" is None where the load is not watched or not known.
    """
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": usable_cores(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "torch", "transformers")},
        "busy_cores": None if others is None else others.busy_cores(),
    }


def short_name(machine: Content) -> str:
    """Return processor and cores of a recorded machine, to stand next to every figure."""
    return f"{machine['processor']}, {machine['cores']} cores"


def long_name(machine: Content, libraries: Iterable[str] = LIBRARIES) -> str:
    """Return date, processor, cores, system and the versions of some libraries of a recorded machine."""
    versions = [f"{LIBRARIES[key]} {machine[key]}" for key in libraries if machine.get(key)]
    return f"{machine['date']}, {short_name(machine)}, {machine['system']}, {', '.join(versions)}"


def is_disturbed(machine: Content) -> bool:
    """Return whether other programs used the cores so much that the figures should not be quoted."""
    busy = machine["busy_cores"]
    return busy is not None and busy > MAX_BUSY_CORES


def load_by_others(machine: Content) -> str:
    """Return a sentence about other programs; empty where their load is not known."""
    if machine["busy_cores"] is None:
        return ""
    sentence = f"Other programs kept {machine['busy_cores']:.1f} cores busy."
    if is_disturbed(machine):
        sentence += " **That slows PyTorch more than scratchgpt: do not quote these figures.**"
    return sentence


def _processor() -> str:
    """Return the processor's name on Linux, the architecture elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
