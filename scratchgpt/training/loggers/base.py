"""The protocol of loggers."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol


class Logger(Protocol):
    """Receives the metrics and samples of a run."""

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Log the numbers of one record of metrics.jsonl; steps never decrease."""

    def text(self, step: int, name: str, text: str) -> None:
        """Log a text, e.g. a sample."""

    def close(self) -> None:
        """Write out everything pending and close."""


def scalars(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield (name, number) of a record, without its step; nested names are joined, e.g. update_ratio/h.0."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            yield prefix + name, float(value)
