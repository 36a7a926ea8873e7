"""report.html: a run on one self-contained page: no network, no script, no other file."""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.runs.curves import Curve, Record, curve, curves_of_layers, smooth
from scratchgpt.runs.svg_chart import Level, Line, chart
from scratchgpt.utils.files import atomic_path, load_json, load_yaml
from scratchgpt.utils.html import STYLE, section, table

BLUE, ORANGE, GREEN, GRAY = "var(--blue)", "var(--orange)", "var(--green)", "var(--grey)"
MAX_SAMPLES = 12  # if there are more, every n-th is shown
METRICS = {  # metrics of an evaluation: how the page names them, and whether more is better
    "val_loss": ("{label} loss, nats per token", False),
    "bits_per_byte": ("bits per byte", False),
    "perplexity": ("perplexity", False),
    "accuracy": ("accuracy", True),
    "bits_above_floor": ("bits per token above the entropy of the source", False),
    "tokens_per_second": ("training tokens per second", True),
    "matrix_share": ("MFU (model FLOPs utilization)", True),
}
REFRESH = '<meta http-equiv="refresh" content="20">'  # reload every 20 s while the run trains
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
{refresh}<title>{name}</title><style>{style}</style></head><body>
<h1>{name}</h1>
<pre class=about>{about}</pre>
<div class=charts>{charts}</div>
{sections}
</body></html>
"""


def write_report(
    folder: str | Path, records: Sequence[Record], summary: str, val_label: str, floor: float | None = None
) -> None:
    """Write report.html of a run.

    Args:
        folder: the folder of the run; the page shows its run.yaml and config.json.
        records: the lines of metrics.jsonl, in the order of the steps.
        summary: a few lines on what is trained.
        val_label: the text that the evaluations use, "validation" or "whole-text".
        floor: the entropy of the source in nats per token, if known.

    Raises:
        InputError: if the settings cannot be read, or the page cannot be written.
    """
    folder = Path(folder)
    settings, config = load_yaml(folder / "run.yaml"), load_json(folder / "config.json")
    training = settings.get("training", {})
    step = max((record["step"] for record in records), default=0)
    evaluations = [record for record in records if "loss" not in record]  # few, compared with the steps
    progress = _progress(step, training, config, evaluations)
    page = PAGE.format(
        style=STYLE,
        name=escape(folder.absolute().name),
        refresh=REFRESH if step < training.get("max_steps", 0) else "",
        about=escape(f"{summary}\n{progress}"),
        charts=_loss_chart(records, evaluations, val_label, config.get("vocab_size"), floor)
        + _small_charts(records, evaluations),
        sections=_metrics_table(evaluations, val_label)
        + _samples(evaluations)
        + section("Configuration", table(list(flat({**settings, "model": config}).items()))),
    )
    with atomic_path(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8", errors="xmlcharrefreplace")


def _progress(
    step: int, training: Mapping[str, Any], config: Mapping[str, Any], evaluations: Sequence[Record]
) -> str:
    """Return a line with the progress of training: steps, tokens, time and skipped steps, as far as known."""
    line = f"step {step:,} of {training.get('max_steps', step):,}"
    n_tokens = step * training.get("batch_size", 0) * config.get("block_size", 0)
    if n_tokens:
        line += f", {n_tokens:,} tokens seen"
    for name, unit in (
        ("seconds", "s of training"),
        ("skipped", "steps skipped because they were not finite"),
    ):
        values = curve(evaluations, name).values
        if len(values):
            line += f", {values[-1]:,.0f} {unit}"
    return line


def _loss_chart(
    records: Sequence[Record],
    evaluations: Sequence[Record],
    val_label: str,
    vocab_size: int | None,
    floor: float | None,
) -> str:
    levels = [] if floor is None else [Level("entropy of the source", floor, GREEN)]
    if vocab_size:
        levels.append(Level(f"uniform guess, ln {vocab_size}", math.log(vocab_size), GRAY))
    held_out = Line(val_label, curve(evaluations, "val_loss"), ORANGE, dots=True)
    lines = [*_noisy("training", curve(records, "loss")), held_out]
    return chart("loss, nats per token", lines, levels, width=720, height=300)


def _small_charts(records: Sequence[Record], evaluations: Sequence[Record]) -> str:
    rate, norm = (curve(records, name) for name in ("lr", "grad_norm"))
    accuracy = Line("accuracy", curve(evaluations, "accuracy"), BLUE, dots=True)
    charts = [
        chart("learning rate", [Line("rate", rate, BLUE)], width=480, height=240, may_be_log=False),
        chart("accuracy", [accuracy], width=480, height=240, may_be_log=False),
        chart("norm of the gradient, before clipping", _noisy("norm", norm), width=480, height=240),
    ]
    layers = curves_of_layers(evaluations, "update_ratio")
    hues = np.linspace(220, 0, len(layers))  # from blue for the first layer to red for the last
    lines = [
        Line(layer, data, f"hsl({hue:.0f} 65% 50%)")
        for (layer, data), hue in zip(layers.items(), hues, strict=True)
    ]
    charts.append(chart("size of an update relative to the weights", lines, width=480, height=240))
    return "".join(charts)


def _noisy(label: str, data: Curve) -> list[Line]:
    """Return two lines for a noisy metric: the band of all its values, and its moving average."""
    mean = Curve(data.steps, smooth(data.values))
    return [Line(f"{label}, every step", data, BLUE, band=True), Line(f"{label}, mean", mean, BLUE)]


def _metrics_table(records: Sequence[Record], val_label: str) -> str:
    """Return the table of the evaluations' metrics: the last value, the best one and its step."""
    rows = []
    for name, (title, more_is_better) in METRICS.items():
        data = curve(records, name)
        if len(data.values):
            step, best = data.best(more_is_better)
            rows.append(
                (title.format(label=val_label), f"{data.values[-1]:,.5g}", f"{best:,.5g}", f"{step:,}")
            )
    return section("Evaluations", table(rows, ("", "last", "best", "at step"))) if rows else ""


def _samples(records: Sequence[Record]) -> str:
    """Return the samples generated during training, the newest first."""
    samples = [record for record in records if isinstance(record.get("sample"), str)]
    if not samples:
        return ""
    kept = np.unique(np.linspace(0, len(samples) - 1, MAX_SAMPLES).astype(int))[::-1]
    shown = "".join(
        f"<details{' open' if i == len(samples) - 1 else ''}><summary>step {samples[i]['step']:,}</summary>"
        f"<pre dir=auto>{escape(samples[i]['sample'])}</pre></details>"
        for i in kept.tolist()
    )
    of = f", {len(kept)} of {len(samples)}" if len(kept) < len(samples) else ""
    return section(f"Samples{of}", shown)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as {"section.name": value}, with values as YAML writes them."""
    rows: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows |= flat(value, f"{prefix}{name}.")
        else:
            rows[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return rows
