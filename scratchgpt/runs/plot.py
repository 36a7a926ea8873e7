"""Pictures of training runs: one run's loss, or several in comparison."""

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

N_COLUMNS = 700  # about the width of a picture in pixels
DOTS = 60  # evaluations up to which each one gets a dot
SPAN = 100.0  # from this ratio of losses on, only a logarithmic axis shows the small ones


def plot_loss(
    path: str | Path,
    train: Sequence[tuple[int, float]],
    val: Sequence[tuple[int, float]],
    vocab_size: int,
    val_label: str,
    floor: float | None = None,
) -> None:
    """Draw loss against step as a PNG.

    Args:
        path: where the picture goes.
        train: (step, loss of that step's batch) in nats per token.
        val: (step, loss of the evaluation) in nats per token.
        vocab_size: draws ln V, the loss of a model that knows nothing.
        val_label: what the evaluations were made on.
        floor: the entropy of the source in nats per token, where it is known: no model can do better.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    trained, held_out = (Curve(*np.array(points, dtype=float).T) for points in (train, val))
    axes.fill_between(*envelope(trained, N_COLUMNS), color="tab:blue", alpha=0.25, linewidth=0.8)
    mean = Curve(trained.steps, smooth(trained.values))
    dot = "." if len(train) == 1 else ""
    axes.plot(*thin(mean, N_COLUMNS), color="tab:blue", marker=dot, label="training (smoothed)")
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
    """Draw the evaluations of several runs as a PNG, side by side against several quantities.

    Args:
        path: where the picture goes.
        measure: what was evaluated, with its unit.
        panels: for each quantity, such as "step", the curve of each run against it; none is empty.
    """
    figure = Figure(figsize=(5.5 * len(panels), 4.5), layout="constrained")
    every_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (quantity, curves) in zip(every_axes, panels.items(), strict=True):
        for i, (name, data) in enumerate(curves.items()):
            label = " " + name.replace("$", r"\$")  # no formula, and a label with _ in front would be hidden
            _held_out(axes, data.steps, data.values, f"C{i % 10}", label)
        values = np.concatenate([data.values for data in curves.values()])
        _finish(axes, quantity, float(values.min()), float(values.max()))
    every_axes[0].set_ylabel(measure)
    every_axes[-1].legend()
    _save(figure, path)


def _held_out(axes: Axes, x: Array, losses: Array, colour: str, label: str) -> None:
    """Draw evaluations, each with a dot where there are not too many."""
    axes.plot(x, losses, color=colour, marker="o" if len(x) <= DOTS else "", markersize=4, label=label)


def _finish(axes: Axes, quantity: str, least: float, largest: float) -> None:
    """Name the axes and choose between linear and logarithmic."""
    if least > 0 and largest / least > SPAN:
        axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_xlabel(quantity)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)


def _save(figure: Figure, path: str | Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
