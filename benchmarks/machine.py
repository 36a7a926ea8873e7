"""What a measurement was made on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scratchgpt.utils.cores import usable_cores


def describe() -> dict[str, Any]:
    """Return the machine, the versions and the date, for the JSON beside every figure."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": usable_cores(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "torch", "transformers")},
    }


class OtherPrograms:
    """Watches, from when it is made, how busy other programs keep the cores."""

    def __init__(self) -> None:
        self._start = self._ticks()

    def busy_cores(self) -> float | None:
        """Return how many cores they kept busy in the mean; None where the system does not tell."""
        if self._start is None or (now := self._ticks()) is None:
            return None
        busy, mine, passed = (late - early for early, late in zip(self._start, now, strict=True))
        return max(0.0, busy - mine) / passed if passed else 0.0

    @staticmethod
    def _ticks() -> tuple[float, float, float] | None:
        """Return seconds: of all programs on all cores, of this one and its children, and of the clock."""
        if os.cpu_count() != usable_cores():  # the rest of a larger machine would be counted, too
            return None
        try:
            first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
        except OSError:
            return None
        user, nice, system, *_ = (int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in first.split()[1:])
        mine = os.times()
        return user + nice + system, sum(mine[:4]), mine.elapsed


def _processor() -> str:
    """Return the processor's name where Linux tells it, else the architecture."""
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
