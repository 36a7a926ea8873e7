"""The picture of a training run."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from scratchgpt.files import atomic_path
from scratchgpt.shapes import Array


def plot_loss(
    path: str | Path,
    train: list[tuple[int, float]],
    val: list[tuple[int, float]],
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
    steps, losses = (np.array(column) for column in zip(*train, strict=True))
    axes.plot(steps, losses, color="tab:blue", alpha=0.25, linewidth=0.8)
    axes.plot(steps, _smooth(losses), color="tab:blue", label="training (smoothed)")
    val_steps, val_losses = zip(*val, strict=True)
    axes.plot(val_steps, val_losses, color="tab:orange", marker="o", markersize=4, label=val_label)
    best_step, best = min(val, key=lambda point: point[1])
    axes.annotate(
        f"best {best:.4g} at step {best_step}",
        (best_step, best),
        xytext=(-10, 28),
        textcoords="offset points",
        ha="right",
        arrowprops={"arrowstyle": "->", "color": "0.4"},
    )
    axes.axhline(math.log(vocab_size), color="0.5", linestyle=":", label=f"uniform guess, ln {vocab_size}")
    if floor is not None:
        axes.axhline(floor, color="tab:green", linestyle="--", label=f"entropy of the source, {floor:.4g}")
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.25)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _smooth(losses: Array) -> Array:
    """Return the mean over a window around each step, about 2 % of the run wide, so that it does not lag."""
    width = 2 * (len(losses) // 100) + 1
    window = np.ones(width)
    smoothed: Array = np.convolve(losses, window, "same") / np.convolve(np.ones(len(losses)), window, "same")
    return smoothed
