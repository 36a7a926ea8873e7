"""The pictures of `scratchgpt inspect`; labels must be drawable, see `labels.drawable`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure

from scratchgpt.inspection.labels import FONT
from scratchgpt.shapes import Array
from scratchgpt.utils.files import atomic_path

WIDTH = 9.2  # inches: the width of the page at 100 dots to the inch
DPI = 120
COLORS = "Blues"  # white is zero, so the page can invert it in dark mode
MIN_CELL, MAX_CELL = 0.115, 0.25  # inches per token
MIN_MAP = 1.6  # inches
MAX_COLUMNS = 13  # of numbers, side by side


def attention(maps: Array, first: int, words: Sequence[str]) -> Figure:
    """Draw the attention probabilities (H, T, T) of some heads of a layer, numbered from `first`, as a grid.

    Positions are computed here, in inches: a layout engine takes many times as long for so many labels.
    """
    H, T = maps.shape[:2]
    longest = max(map(len, words))
    left, below = 0.12 + 0.075 * longest, 0.25 if longest == 1 else 0.12 + 0.075 * longest
    n_columns = min(H, max(1, int((WIDTH - 0.1) / max(MIN_MAP, T * MIN_CELL + left))))
    cell = min(MAX_CELL, ((WIDTH - 0.1) / n_columns - left) / T)
    side = cell * T
    across, down = max(MIN_MAP, side + left), side + below + 0.3
    width, height = max(4.0, n_columns * across + 0.1), -(-H // n_columns) * down + 0.7
    figure = Figure(figsize=(width, height))
    shades = PowerNorm(0.5, vmin=0, vmax=1)  # the square root makes small probabilities visible
    for head, probs in enumerate(maps):
        row, column = divmod(head, n_columns)
        x, y = column * across + left, height - 0.7 - row * down - 0.25 - side
        axes = figure.add_axes((x / width, y / height, side / width, side / height))
        image = axes.imshow(probs, cmap=COLORS, norm=shades, interpolation="nearest")
        axes.set_title(f"head {first + head}", fontsize=9, pad=4)
        for axis in "xy":
            _words(axes, axis, words, min(9.0, 62 * cell))
    scale = figure.add_axes((0.3 / width, 1 - 0.62 / height, (min(width, 5.0) - 0.6) / width, 0.12 / height))
    bar = figure.colorbar(image, cax=scale, orientation="horizontal", ticklocation="top")
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], labels=["0", ".01", ".05", ".1", ".25", ".5", "1"])
    bar.ax.tick_params(labelsize=8, pad=2)
    bar.set_label("probability", fontsize=8)
    return figure


def next_tokens(words: Sequence[str], probs: Sequence[float]) -> Figure:
    """Draw the probabilities of the most likely next tokens, the most likely first."""
    figure = Figure(figsize=(5.0, 0.24 * len(words) + 0.8), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(words))
    axes.barh(places, probs, color="tab:blue")
    for place, prob in zip(places, probs, strict=True):
        axes.annotate(
            f"{prob:.3g}", (prob, place), (3, 0), textcoords="offset points", va="center", fontsize=8
        )
    _words(axes, "y", words, 9)
    axes.invert_yaxis()
    axes.set_xlim(0, max(probs) * 1.15)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("probability")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def residual_norms(norms: Array, words: Sequence[str]) -> Figure:
    """Draw the norms of the stream (n_layer + 1, T): per token, and mean and range per layer."""
    n_layers, T = norms.shape
    figure = Figure(figsize=(WIDTH, 0.26 * n_layers + 5.2), layout="constrained")
    above, below = figure.subplots(2, height_ratios=[0.26 * n_layers + 1.0, 2.8])
    shades = (LogNorm if norms.min() > 0 and norms.max() > 30 * norms.min() else Normalize)()
    image = above.imshow(norms, cmap=COLORS, norm=shades, aspect="auto", interpolation="nearest")
    _words(above, "x", words, min(9.0, 62 * (WIDTH - 2.0) / T))
    _words(above, "y", layer_names(n_layers), 8)
    figure.colorbar(image, ax=above, label="‖x‖", pad=0.01)
    layers = np.arange(n_layers)
    below.fill_between(
        layers, norms.min(axis=1), norms.max(axis=1), color="tab:blue", alpha=0.2, label="range"
    )
    below.plot(
        layers, norms.mean(axis=1), color="tab:blue", marker="o", markersize=4, label="mean of all tokens"
    )
    _words(below, "x", layer_names(n_layers), 8, turned=n_layers > 9)
    below.set_ylabel("‖x‖")
    if isinstance(shades, LogNorm):
        below.set_yscale("log")
    else:
        below.set_ylim(bottom=0)
    below.grid(alpha=0.25)
    below.legend()
    return figure


def logit_lens(said: Sequence[Sequence[str]], probs: Array, words: Sequence[str]) -> Figure:
    """Draw the most likely next token after each token and layer, and its probability.

    Args:
        said: (n_layer + 1) x T labels of the most likely tokens.
        probs: (n_layer + 1, T) their probabilities.
        words: the labels of the text's tokens.
    """
    n_layers, T = probs.shape
    shown = np.unique(np.linspace(0, n_layers - 1, min(n_layers, MAX_COLUMNS)).round().astype(int))
    width = 0.06 * max(len(word) + 5 for layer in shown for word in said[layer])  # inches for a cell
    figure = Figure(figsize=(max(4.0, 1.2 + width * len(shown)), 0.2 * T + 1.5), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(probs[shown].T, cmap=COLORS, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for column, layer in enumerate(shown):
        for t in range(T):
            _number(
                axes,
                column,
                t,
                f"{said[layer][t]} {probs[layer, t]:.2f}".replace(" 0.", " ."),
                probs[layer, t],
            )
    names = layer_names(n_layers)
    _words(axes, "x", [names[layer] for layer in shown], 8, turned=False)
    axes.xaxis.tick_top()
    _words(axes, "y", words, 8)
    return figure


def gradient_norms(norms: Mapping[str, float]) -> Figure:
    """Draw every parameter's gradient norm: blocks as a table, the other parameters as bars."""
    inside = {name: norm for name, norm in norms.items() if name.startswith("h.")}
    kinds = list(dict.fromkeys(name.split(".", 2)[2] for name in inside))
    n_layer = len(inside) // len(kinds)
    values = np.array([[norms[f"h.{layer}.{kind}"] for layer in range(n_layer)] for kind in kinds])
    others = {name: norm for name, norm in norms.items() if name not in inside}
    heights = [0.24 * len(kinds) + 0.5, 0.24 * len(others) + 0.6]
    figure = Figure(
        figsize=(max(6.4, min(WIDTH, 2.8 + 0.75 * n_layer)), sum(heights) + 0.6), layout="constrained"
    )
    above, below = figure.subplots(2, height_ratios=heights)
    shades = _log_shades(values)
    above.imshow(values, cmap=COLORS, norm=shades, aspect="auto", interpolation="nearest")
    if n_layer <= MAX_COLUMNS:
        for (row, layer), value in np.ndenumerate(values):
            _number(above, layer, row, f"{value:.2g}", float(shades(value)) if value > 0 else 0.0)
    _words(above, "y", kinds, 8)
    _words(above, "x", [f"h.{layer}" for layer in range(n_layer)], 8, turned=n_layer > 12)
    above.xaxis.tick_top()
    places = np.arange(len(others))
    below.barh(places, list(others.values()), color="tab:blue")
    for place, value in zip(places, others.values(), strict=True):
        below.annotate(
            f"{value:.2g}", (value, place), (3, 0), textcoords="offset points", va="center", fontsize=8
        )
    _words(below, "y", list(others), 8)
    below.invert_yaxis()
    below.set_xlim(0, 1.1 * max(others.values()) or 1)
    below.set_xlabel("norm of the gradient")
    below.spines[["top", "right"]].set_visible(False)
    return figure


def layer_names(n: int) -> list[str]:
    """Return the names of the n stages of the stream: the embedding, then each block."""
    return ["embedding", *(f"h.{layer}" for layer in range(n - 1))]


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG; the file appears complete or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def _log_shades(values: Array) -> Normalize:
    """Return logarithmic shades; zeros stay white."""
    positive = values[values > 0]
    return LogNorm(positive.min() / 2, positive.max()) if len(positive) else Normalize(0, 1)


def _words(axes: Axes, axis: str, words: Sequence[str], size: float, turned: bool | None = None) -> None:
    """Label each integer position of an axis; labels below a picture are rotated if any is long."""
    if turned is None:
        turned = axis == "x" and max(map(len, words)) > 1
    axes.set(**{f"{axis}ticks": range(len(words))})
    labels = {"x": axes.set_xticklabels, "y": axes.set_yticklabels}[axis]
    labels(list(words), fontsize=size, fontfamily=FONT, rotation=90 if turned else 0)
    axes.tick_params(axis, length=2, pad=2)  # type: ignore[arg-type]


def _number(axes: Axes, column: int, row: int, text: str, shade: float) -> None:
    """Write text into a cell, in a color that contrasts with its shade."""
    axes.text(
        column, row, text, ha="center", va="center", fontsize=7, fontfamily=FONT,
        color="white" if shade > 0.55 else "black",
    )  # fmt: skip
