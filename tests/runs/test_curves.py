"""The metrics of a run as curves."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.errors import InputError
from scratchgpt.runs.curves import Curve, curve, curves_of_layers, envelope, read_records, smooth, thin

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)


def of(values: list[float]) -> Curve:
    return Curve(np.arange(1, len(values) + 1), np.array(values))


def test_a_curve_skips_records_without_a_number() -> None:
    records = [
        {"step": 1, "loss": 2.0, "grad_norm": None},
        {"step": 2, "loss": 1.5, "grad_norm": 3},
        {"step": 2, "val_loss": 1.7},
        {"step": 3, "loss": float("nan")},
        {"step": 4, "loss": "1.0", "update_ratio": 5.0},
        {"step": 4, "update_ratio": {"h.0": 1e-3, "h.1": None}},
    ]
    steps, losses = curve(records, "loss")
    assert (steps.tolist(), losses.tolist()) == ([1, 2], [2.0, 1.5])
    assert curve(records, "grad_norm").values.tolist() == [3.0]
    assert len(curve(records, "perplexity").steps) == 0
    layers = curves_of_layers(records, "update_ratio")
    assert {name: data.values.tolist() for name, data in layers.items()} == {"h.0": [1e-3], "h.1": []}


def test_the_best_is_the_first_of_the_least_or_largest() -> None:
    assert of([3.0, 1.0, 1.0, 3.0]).best() == (2, 1.0)
    assert of([3.0, 1.0, 1.0, 3.0]).best(largest=True) == (1, 3.0)


@given(VALUES)
def test_smoothing_is_the_mean_of_a_window_that_is_cut_off_at_the_ends(values: list[float]) -> None:
    half = len(values) // 100
    expected = [np.mean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    np.testing.assert_allclose(smooth(np.array(values)), expected, rtol=1e-9, atol=1e-6)


@given(VALUES, st.integers(1, 50))
def test_an_envelope_holds_the_extremes_of_every_column(values: list[float], n_columns: int) -> None:
    steps, low, high = envelope(of(values), n_columns)
    assert len(steps) <= n_columns
    assert steps[0] == 1 and (np.diff(steps) > 0).all()
    pieces = np.split(np.array(values), steps[1:] - 1)
    assert [piece.min() for piece in pieces] == low.tolist()
    assert [piece.max() for piece in pieces] == high.tolist()


def test_a_spike_of_one_step_in_a_hundred_thousand_is_drawn() -> None:
    values = np.ones(100_000)
    values[54_321] = 9.0
    drawn = thin(Curve(np.arange(100_000), values), 600)
    assert len(drawn.steps) == 1200
    assert drawn.values.max() == 9.0
    assert abs(drawn.steps[drawn.values.argmax()] - 54_321) < 100_000 / 600


def test_a_short_curve_is_not_thinned() -> None:
    data = of([1.0, 2.0, 3.0])
    assert thin(data, 2) is data


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    records = [{"step": 1, "loss": 2.5}, {"step": 1, "sample": "a\nb\u2028c"}]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert read_records(path) == records


@pytest.mark.parametrize(
    "line", ['{"step": 2, "lo', "[1]", '{"loss": 1.0}', '{"step": "2"}', '{"step": -1}', "[" * 10**5]
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.5}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics.jsonl is damaged: line 2 is .*; expected a JSON object"):
        read_records(path)
