"""Line plots in colors that color-blind readers can tell apart (Okabe and Ito), each with a marker."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.machine import short_name
from benchmarks.results import Content
from scratchgpt.utils.files import atomic_path

Line = tuple[Sequence[float], Sequence[float]]  # x and y

STYLES = {
    "scratchgpt": ("#0072B2", "o"),
    "PyTorch": ("#D55E00", "s"),
    "PyTorch compiled": ("#009E73", "^"),
    "PyTorch bfloat16": ("#CC79A7", "D"),
}


def new_picture(x_label: str, y_label: str, machine: Content) -> tuple[Figure, Axes]:
    """Return an empty picture that names the machine in its corner, and its axes."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(short_name(machine), loc="right", fontsize=9, color="0.35")
    axes.grid(which="major", alpha=0.3)
    return figure, axes


def log_log(
    path: Path,
    x_label: str,
    y_label: str,
    lines: Mapping[str, Line],
    floor: Line,
    machine: Content,
    names: Sequence[str] = (),
) -> None:
    """Draw a line for each engine, and the floor below them.

    Args:
        path: where the picture is written.
        x_label: what the horizontal axis shows, with its unit.
        y_label: what the vertical axis shows, with its unit.
        lines: points by engine.
        floor: the time of the matrix products alone, as points.
        machine: what was measured on, as in the JSON file.
        names: labels for the points of the floor.
    """
    figure, axes = new_picture(x_label, y_label, machine)
    axes.plot(*floor, color="0.35", linestyle="--", label="matrix products at the rate of sgemm")
    for engine, line in lines.items():
        color, marker = STYLES[engine]
        axes.plot(*line, color=color, marker=marker, label=engine)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for x, y, name in zip(*floor, names, strict=False):
        axes.annotate(
            name, (x, y), xytext=(0, -12), textcoords="offset points", ha="center", va="top", fontsize=8
        )
    axes.margins(0.1, 0.16)  # room for the names
    axes.legend()
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write the picture as a PNG."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
