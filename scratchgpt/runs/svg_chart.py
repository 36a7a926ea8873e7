"""A line chart as SVG text, so that a page needs neither a network nor a script."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from scratchgpt.runs.curves import Curve, envelope, thin
from scratchgpt.shapes import Array

LEFT, RIGHT, TOP, BOTTOM = 52, 28, 10, 34  # margins around the plot, for the numbers on the axes
LOG_RATIO = 30  # the axis is logarithmic if the largest value exceeds the smallest by this factor
MAX_DOTS = 60  # lines with more points are drawn without dots


@dataclass(frozen=True)
class Line:
    """A curve and its style.

    Attributes:
        label: its name in the legend.
        data: the points; may be empty.
        color: a CSS color.
        dots: whether to mark the points, if there are few.
        band: whether to fill the area between minimum and maximum instead of drawing a line.
    """

    label: str
    data: Curve
    color: str
    dots: bool = False
    band: bool = False


@dataclass(frozen=True)
class Level:
    """A horizontal line at a value, with its name in the legend and a CSS color."""

    label: str
    value: float
    color: str


def chart(
    title: str,
    lines: Sequence[Line],
    levels: Sequence[Level] = (),
    *,
    width: int,
    height: int,
    may_be_log: bool = True,
) -> str:
    """Return an HTML figure of lines against the step, with title and legend; "" if no line has a point.

    Args:
        title: the title, with the unit.
        lines: the lines, the first at the bottom.
        levels: horizontal lines; those so far away that they would squash the lines are left out.
        width: of the drawing in SVG units; the page scales it.
        height: of the drawing in SVG units.
        may_be_log: whether the axis may be logarithmic: if all values are positive and span LOG_RATIO.
    """
    lines = [line for line in lines if len(line.data.steps)]
    if not lines:
        return ""
    values = np.concatenate([line.data.values for line in lines])
    low, high = float(values.min()), float(values.max())
    log = may_be_log and low > 0 and high / low > LOG_RATIO
    if log:
        levels = [level for level in levels if low / 3 <= level.value <= high * 3]
    else:
        margin = 2 * (high - low) or math.inf
        levels = [level for level in levels if low - margin <= level.value <= high + margin]
    low, high = min([low, *(each.value for each in levels)]), max([high, *(each.value for each in levels)])
    if high - low < 1e-300:  # equal, or so close that the distance of ticks would underflow to 0
        low, high = low - (abs(low) / 2 or 1), high + (abs(high) / 2 or 1)
    axes = _Axes(max(int(line.data.steps[-1]) for line in lines), low, high, log, width, height)
    marks = [_level(axes, level) for level in levels] + [_line(axes, line) for line in lines]
    legend = [_entry(line.label, line.color, "faint" if line.band else "") for line in lines]
    legend += [_entry(f"{level.label}, {level.value:.4g}", level.color) for level in levels]
    if len(legend) == 1:
        legend = []  # the title suffices
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)} against the step">'
        f"{axes.drawing()}{''.join(marks)}</svg><p class=legend>{''.join(legend)}</p></figure>"
    )


@dataclass(frozen=True)
class _Axes:
    """The axes: they map steps and values to coordinates."""

    last_step: int
    low: float
    high: float
    log: bool
    width: int
    height: int

    def x(self, steps: Array) -> Array:
        return LEFT + (self.width - LEFT - RIGHT) * np.asarray(steps) / max(self.last_step, 1)

    def y(self, values: Array) -> Array:
        scale = np.log10 if self.log else np.asarray
        low, high, values = scale(self.low), scale(self.high), scale(values)
        return TOP + (self.height - TOP - BOTTOM) * (high - values) / (high - low)

    def drawing(self) -> str:
        """Return the axes as SVG: grid lines and numbers."""
        parts = []
        ticks = _decades(self.low, self.high) if self.log else _ticks(self.low, self.high, 5)
        for value in ticks:
            y = float(self.y(np.array(value)))
            parts.append(f'<path class=grid d="M{LEFT} {y:.1f}H{self.width - RIGHT}"/>')
            parts.append(f"<text x={LEFT - 6} y={y + 4:.1f} text-anchor=end>{value:.4g}</text>")
        for step in _ticks(0, max(self.last_step, 1), 6):
            if step == int(step):
                x = float(self.x(np.array(step)))
                y = self.height - BOTTOM
                parts.append(f'<path class=grid d="M{x:.1f} {TOP}V{y}"/>')
                parts.append(f"<text x={x:.1f} y={y + 16} text-anchor=middle>{int(step):,}</text>")
        middle = (LEFT + self.width - RIGHT) / 2
        return "".join(parts) + f"<text x={middle} y={self.height - 2} text-anchor=middle>step</text>"


def _ticks(low: float, high: float, n: int) -> list[float]:
    """Return about `n` round numbers in [low, high], evenly spaced."""
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    distance = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.ceil(low / distance - 1e-9), math.floor(high / distance + 1e-9)
    return [float(f"{i * distance:.12g}") for i in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Return round numbers in [low, high] for a logarithmic axis: powers of ten, or 1, 2 and 5 times them."""
    exponents = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    factors = (1,) if len(exponents) > 4 else (1, 2, 5)
    ticks = [
        factor * 10.0**exponent for exponent in exponents[:: 1 + len(exponents) // 8] for factor in factors
    ]
    return [tick for tick in ticks if low <= tick <= high]


def _line(axes: _Axes, line: Line) -> str:
    n_columns = axes.width - LEFT - RIGHT
    if line.band:
        steps, low, high = envelope(line.data, n_columns)
        x = axes.x(steps)
        outline = _path(np.append(x, x[::-1]), np.append(axes.y(high), axes.y(low)[::-1]))
        return f'<path class=band style="fill:{line.color};stroke:{line.color}" d="{outline}Z"/>'
    data = thin(line.data, n_columns)
    x, y = axes.x(data.steps), axes.y(data.values)
    drawn = f'<path class=line style="stroke:{line.color}" d="{_path(x, y)}"/>'
    if (line.dots and len(x) <= MAX_DOTS) or len(x) == 1:
        drawn += "".join(
            f'<circle style="fill:{line.color}" cx={a:.1f} cy={b:.1f} r=3 />'
            for a, b in zip(x.tolist(), y.tolist(), strict=True)
        )
    return drawn


def _level(axes: _Axes, level: Level) -> str:
    y = float(axes.y(np.array(level.value)))
    return f'<path class=level style="stroke:{level.color}" d="M{LEFT} {y:.1f}H{axes.width - RIGHT}"/>'


def _path(x: Array, y: Array) -> str:
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    return "M" + "L".join(points)


def _entry(label: str, color: str, kind: str = "") -> str:
    return f'<span><i class="{kind}" style="background:{color}"></i>{escape(label)}</span>'
