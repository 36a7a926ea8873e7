"""Plots of training runs as PNG: the loss of one run, or the curves of several."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from scratchgpt.runs.curves import Curve, envelope, smooth, thin
from scratchgpt.shapes import Array
from scratchgpt.utils.files import atomic_path

PLOT_COLUMNS = 700  # about the width of the axes in pixels
MAX_DOTS = 60  # more evaluations than this are drawn without dots
LOG_RATIO = 100.0  # the axis is logarithmic if the largest loss exceeds the smallest by this factor


def plot_loss(
    path: str | Path,
    train: Sequence[tuple[int, float]],
    val: Sequence[tuple[int, float]],
    vocab_size: int,
    val_label: str,
    floor: float | None = None,
) -> None:
    """Plot the losses of a run against the step.

    Args:
        path: the PNG to write.
        train: (step, loss of that step's batch) in nats per token.
        val: (step, validation loss) in nats per token.
        vocab_size: V; a line shows ln V, the loss of a uniform guess.
        val_label: the text that the evaluations use, "validation" or "whole-text".
        floor: the entropy of the source in nats per token, if known: the lowest loss that is possible.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    trained, held_out = (Curve(*np.array(points, dtype=float).T) for points in (train, val))
    axes.fill_between(*envelope(trained, PLOT_COLUMNS), color="tab:blue", alpha=0.25, linewidth=0.8)
    mean = Curve(trained.steps, smooth(trained.values))
    dot = "." if len(train) == 1 else ""
    axes.plot(*thin(mean, PLOT_COLUMNS), color="tab:blue", marker=dot, label="training (smoothed)")
    _held_out(axes, held_out.steps, held_out.values, "tab:orange", val_label)
    best_step, best = held_out.best()
    axes.plot(
        best_step, best, color="tab:orange", linestyle="", marker="*", markersize=13, markeredgecolor="white",
        label=f"best, {best:.4g} at step {best_step:,}",
    )  # fmt: skip
    axes.axhline(math.log(vocab_size), color="0.5", linestyle=":", label=f"uniform guess, ln {vocab_size}")
    if floor is not None:
        axes.axhline(floor, color="tab:green", linestyle="--", label=f"entropy of the source, {floor:.4g}")
    _finish(axes, "step", float(held_out.values.min()), float(trained.values.max()))
    axes.set_ylabel("loss (nats per token)")
    axes.legend()
    _save(figure, path)


def plot_comparison(path: str | Path, measure: str, panels: Mapping[str, Mapping[str, Curve]]) -> None:
    """Plot the evaluations of several runs, one panel per quantity that they are plotted against.

    Args:
        path: the PNG to write.
        measure: the label of the y-axis, with its unit.
        panels: for each quantity, such as "step", the curve of each run against it; none is empty.
    """
    figure = Figure(figsize=(5.5 * len(panels), 4.5), layout="constrained")
    every_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (quantity, curves) in zip(every_axes, panels.items(), strict=True):
        for i, (name, data) in enumerate(curves.items()):
            label = " " + name.replace(
                "$", r"\$"
            )  # $ would start a formula, and a leading _ would hide the label
            _held_out(axes, data.steps, data.values, f"C{i % 10}", label)
        values = np.concatenate([data.values for data in curves.values()])
        _finish(axes, quantity, float(values.min()), float(values.max()))
    every_axes[0].set_ylabel(measure)
    every_axes[-1].legend()
    _save(figure, path)


def _held_out(axes: Axes, x: Array, losses: Array, color: str, label: str) -> None:
    """Plot evaluations, with a dot each if there are few."""
    axes.plot(x, losses, color=color, marker="o" if len(x) <= MAX_DOTS else "", markersize=4, label=label)


def _finish(axes: Axes, quantity: str, least: float, largest: float) -> None:
    """Label the x-axis, and make the y-axis logarithmic if the values span a large range."""
    if least > 0 and largest / least > LOG_RATIO:
        axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_xlabel(quantity)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)


def _save(figure: Figure, path: str | Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
