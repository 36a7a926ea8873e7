"""Plots of training runs: what they show."""

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from scratchgpt.runs.curves import Curve
from scratchgpt.runs.plot import plot_comparison, plot_loss

Points = list[tuple[int, float]]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Keep each figure, and draw it into memory, so that a warning of matplotlib is an error."""
    kept: list[Figure] = []

    def save(figure: Figure, path: str | Path) -> None:
        figure.canvas.draw()
        kept.append(figure)

    monkeypatch.setattr("scratchgpt.runs.plot._save", save)
    return kept


def legend(figure: Figure) -> list[str]:
    (found,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return [text.get_text() for text in found.get_texts()]


def falling(n: int) -> Points:
    return [(step, 1 + 3 / step) for step in range(1, n + 1)]


def test_the_loss_of_a_run(figures: list[Figure]) -> None:
    plot_loss("x", falling(100), [(50, 1.5), (100, 1.75)], 65, "validation", 1.25)
    (axes,) = figures[0].axes
    assert legend(figures[0]) == [
        "training (smoothed)",
        "validation",
        "best, 1.5 at step 50",
        "uniform guess, ln 65",
        "entropy of the source, 1.25",
    ]
    smoothed, held_out, best, uniform, floor = axes.lines
    assert smoothed.get_xdata().tolist() == list(range(1, 101))
    assert smoothed.get_ydata()[50] == pytest.approx(np.mean([1 + 3 / step for step in (50, 51, 52)]))
    assert list(zip(held_out.get_xdata(), held_out.get_ydata(), strict=True)) == [(50, 1.5), (100, 1.75)]
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (50, 1.5)
    assert (uniform.get_ydata()[0], floor.get_ydata()[0]) == (math.log(65), 1.25)
    (band,) = axes.collections
    assert band.get_datalim(axes.transData).get_points().tolist() == [[1, 1.03], [100, 4.0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss (nats per token)")
    assert (axes.get_yscale(), axes.get_xlim()[0]) == ("linear", 0)


def test_only_losses_of_very_different_size_get_a_logarithmic_axis(figures: list[Figure]) -> None:
    memorised = [(step, 4.0 / 10**step) for step in range(1, 5)]
    plot_loss("x", memorised, memorised, 65, "whole-text")
    assert figures[0].axes[0].get_yscale() == "log"


@pytest.mark.parametrize(("n", "marker"), [(1, "o"), (60, "o"), (61, "")])
def test_evaluations_have_dots_unless_they_are_many(figures: list[Figure], n: int, marker: str) -> None:
    plot_loss("x", falling(n), falling(n), 65, "validation")
    assert figures[0].axes[0].lines[1].get_marker() == marker


def test_a_run_of_one_step_can_be_seen(figures: list[Figure]) -> None:
    plot_loss("x", [(1, 3.0)], [(1, 3.1)], 65, "validation")
    assert figures[0].axes[0].lines[0].get_marker() == "."


def test_the_names_of_runs_are_shown_as_they_are(figures: list[Figure]) -> None:
    curve = Curve(np.array([1, 2]), np.array([2.0, 1.0]))
    names = ["_hidden", "a$\\frac$b", "plain"]
    plot_comparison("x", "loss", {"step": dict.fromkeys(names, curve), "tokens": dict.fromkeys(names, curve)})
    left, right = figures[0].axes
    assert [axes.get_xlabel() for axes in (left, right)] == ["step", "tokens"]
    assert (left.get_ylabel(), left.get_legend()) == ("loss", None)
    for axes in (left, right):
        assert [line.get_ydata().tolist() for line in axes.lines] == [[2.0, 1.0]] * 3
    assert legend(figures[0]) == [" _hidden", r" a\$\frac\$b", " plain"]


def test_the_file_is_a_png_that_shows_the_curves(tmp_path: Path) -> None:
    plot_loss(tmp_path / "loss.png", falling(300), falling(3), 65, "validation", floor=0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]
    pixels = imread(tmp_path / "loss.png")
    assert pixels.shape == (540, 960, 4)
    for color in (
        "white",
        "tab:blue",
        "tab:orange",
        "tab:green",
    ):  # background, training, val, entropy
        is_color = np.abs(pixels[..., :3] - to_rgb(color)).max(axis=-1) < 0.02
        assert is_color.sum() > 100, color
