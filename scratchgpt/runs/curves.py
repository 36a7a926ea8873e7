"""The record of a run as curves: numbers against steps, smoothed, and few enough to draw."""

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
        """Return the step and the value of the first minimum, or maximum; the curve must not be empty."""
        i = int(self.values.argmax() if largest else self.values.argmin())
        return int(self.steps[i]), float(self.values[i])


def read_records(path: str | Path) -> list[Record]:
    """Return the lines of a metrics.jsonl.

    Raises:
        InputError: missing, or a line is not a JSON object with a step.
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
    """Return a quantity against the step, where it was recorded and is a finite number."""
    return _curve((record["step"], record[name]) for record in records if name in record)


def curves_of_layers(records: Iterable[Record], name: str) -> dict[str, Curve]:
    """Return a quantity that is recorded for each layer, as {"h.0": 1.2e-3, ...}, by layer."""
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
    """Return the mean over a window around each value, about 2 % of all wide, so that it does not lag.

    At the ends the window is cut off.
    """
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    i = np.arange(len(values))
    first, end = np.maximum(i - half, 0), np.minimum(i + half + 1, len(values))
    smoothed: Array = (sums[end] - sums[first]) / (end - first)
    return smoothed


def envelope(data: Curve, n_columns: int) -> tuple[Array, Array, Array]:
    """Return steps, least and largest values in up to `n_columns` equal ranges of steps.

    A picture of so many pixels loses nothing by it: every spike is there.

    Args:
        data: steps in ascending order, at least one.
        n_columns: how many ranges.
    """
    steps, values = data
    edges = np.linspace(steps[0], steps[-1] + 1, n_columns + 1)[:-1]
    starts = np.unique(np.searchsorted(steps, edges))
    starts = starts[starts < len(steps)]
    return steps[starts], np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def thin(data: Curve, n_columns: int) -> Curve:
    """Return a curve that looks the same in a picture of `n_columns` pixels: see `envelope`."""
    if len(data.steps) <= 2 * n_columns:
        return data
    steps, low, high = envelope(data, n_columns)
    return Curve(np.repeat(steps, 2), np.stack([low, high], axis=1).ravel())
