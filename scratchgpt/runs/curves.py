"""The metrics of a run as curves against the step: smoothed, and thinned out for drawing."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.utils.files import read_text

Record = Mapping[str, Any]  # a line of metrics.jsonl


class Curve(NamedTuple):
    """Values (N,) at steps (N,)."""

    steps: Array
    values: Array

    def best(self, largest: bool = False) -> tuple[int, float]:
        """Return step and value of the first minimum, or maximum; the curve must not be empty."""
        i = int(self.values.argmax() if largest else self.values.argmin())
        return int(self.steps[i]), float(self.values[i])


def read_records(path: str | Path) -> list[Record]:
    """Return the lines of a metrics.jsonl.

    Raises:
        InputError: if the file is missing, or a line is not a JSON object with a step.
    """
    records: list[Record] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        step = record.get("step") if isinstance(record, dict) else None
        if not isinstance(step, int) or not 0 <= step < 2**63:
            raise InputError(
                f"{path} is damaged: line {number} is {line[:40]!r}; expected a JSON object with a step"
            )
        records.append(record)
    return records


def curve(records: Iterable[Record], name: str) -> Curve:
    """Return the curve of a metric, without the records that lack it and the values that are not finite."""
    return _curve((record["step"], record[name]) for record in records if name in record)


def curves_of_layers(records: Iterable[Record], name: str) -> dict[str, Curve]:
    """Return the curve of each layer of a metric that is recorded per layer, as {"h.0": 1.2e-3, ...}."""
    points: dict[str, list[tuple[int, Any]]] = {}
    for record in records:
        if isinstance(record.get(name), dict):
            for layer, value in record[name].items():
                points.setdefault(str(layer), []).append((record["step"], value))
    return {layer: _curve(pairs) for layer, pairs in points.items()}


def _curve(points: Iterable[tuple[int, Any]]) -> Curve:
    numbers = [(step, value) for step, value in points if isinstance(value, int | float)]
    steps = np.fromiter((step for step, _ in numbers), np.int64, len(numbers))
    values = np.fromiter((value for _, value in numbers), np.float64, len(numbers))
    finite = np.isfinite(values)
    return Curve(steps[finite], values[finite])


def smooth(values: Array) -> Array:
    """Return the moving average (N,) of values (N,) over a window of about 2 % of them.

    The window is centered, so that the average does not lag, and cut off at both ends.
    """
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    i = np.arange(len(values))
    first, end = np.maximum(i - half, 0), np.minimum(i + half + 1, len(values))
    smoothed: Array = (sums[end] - sums[first]) / (end - first)
    return smoothed


def envelope(data: Curve, n_columns: int) -> tuple[Array, Array, Array]:
    """Cut the steps into `n_columns` equal ranges; return the first step, minimum and maximum of each.

    A plot that is `n_columns` pixels wide loses nothing by this: every spike is kept.

    Args:
        data: steps in ascending order, at least one.
        n_columns: number of ranges, N.

    Returns:
        Three arrays (M,), M <= N: ranges without a step are left out.
    """
    steps, values = data
    edges = np.linspace(steps[0], steps[-1] + 1, n_columns + 1)[:-1]
    starts = np.unique(np.searchsorted(steps, edges))
    starts = starts[starts < len(steps)]
    return steps[starts], np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def thin(data: Curve, n_columns: int) -> Curve:
    """Return a curve with fewer points that looks the same in a plot `n_columns` pixels wide."""
    if len(data.steps) <= 2 * n_columns:
        return data
    steps, low, high = envelope(data, n_columns)
    return Curve(np.repeat(steps, 2), np.stack([low, high], axis=1).ravel())
