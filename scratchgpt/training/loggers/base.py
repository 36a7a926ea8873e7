"""What every logger can do."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol


class Logger(Protocol):
    """Takes the numbers and texts of a run."""

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Keep the numbers of a record of metrics.jsonl; steps never decrease."""

    def text(self, step: int, name: str, text: str) -> None:
        """Keep a text, such as a sample."""

    def close(self) -> None:
        """Write what is not written yet."""


def scalars(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a record but for its step: {"update_ratio": {"h.0": 1.0}} is update_ratio/h.0."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            yield prefix + name, float(value)
