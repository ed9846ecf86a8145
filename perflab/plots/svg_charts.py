"""Charts as SVG text: panes one above the other, which share the horizontal axis.

The live view and the explorers draw them, since such a chart takes milliseconds and a reader can point at its values;
`picture` is the same as an image, which stays in a saved notebook. `plot_*` are matplotlib. Nothing is computed here.
"""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from perflab.plots.palette import INK
from perflab.rendering import visible
from perflab.units import format_number, format_short

WIDTH = 900
_LEFT, _RIGHT, _HEADER, _BOTTOM = 58.0, 12.0, 26.0, 36.0
_FONT = 'font-family="system-ui,-apple-system,\'Segoe UI\',Helvetica,Arial,sans-serif" font-size="12"'
_ROOM = 1.08
_LONGEST_NAME = 32
Floats = npt.NDArray[Any]


@dataclass(frozen=True)
class Series:
    """A line, or with ``marker`` single marks; ``low`` and ``high`` are a band around a line, or the marks' intervals.

    ``texts`` are what a reader who points at a value sees; by default the value as the pane writes it.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashes: str = ""
    marker: str = ""
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    texts: Sequence[str] = ()


@dataclass(frozen=True)
class Cells:
    """Counts in a grid: edges in x and y, and for each column its rows from 0 (empty) to 1 (the most)."""

    x: Sequence[float]
    y: Sequence[float]
    shares: Sequence[Sequence[float]]
    colour: str


@dataclass(frozen=True)
class Pane:
    """One quantity; ``banded`` panes let a reader select a part of the vertical axis too."""

    label: str
    series: Sequence[Series]
    height: float = 78.0
    log: bool = False
    banded: bool = False
    write: Callable[[float], str] = format_short
    cells: Cells | None = None


@dataclass(frozen=True)
class Chart:
    """Panes, and the part of the horizontal axis that they show; ``selected`` is (from, to, low, high) of a selection."""

    title: str
    panes: Sequence[Pane]
    x: tuple[float, float]
    x_label: str
    selected: tuple[float, float, float, float] | None = None
    x_write: Callable[[float], str] = format_number


@dataclass(frozen=True)
class _Placed:
    """A pane with its place in the picture and its range of values."""

    pane: Pane
    top: float
    low: float
    high: float

    @property
    def bottom(self) -> float:
        return self.top + self.pane.height

    def at(self, value: float) -> float:
        share = _share(value, self.low, self.high, self.pane.log)
        return self.bottom - min(1.0, max(0.0, share)) * self.pane.height


def _share(value: float, low: float, high: float, log: bool) -> float:
    if log:
        return math.log(max(value, low) / low) / math.log(high / low)
    return (value - low) / (high - low)


def svg(chart: Chart, width: float = WIDTH) -> str:
    """The chart as an ``<svg>`` element."""
    placed = _placed(chart)
    height = placed[-1].bottom + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="perflab-chart" role="img" aria-label="{_text(chart.title)}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" style="max-width:100%;height:auto" {_FONT}>'
    ]
    for number, each in enumerate(placed):
        parts += _frame(chart, each, width, last=number == len(placed) - 1)
        if each.pane.cells is not None:
            parts += _cells(chart, each, each.pane.cells, width)
        for series in each.pane.series:
            parts += _marks(chart, each, series, width) if series.marker else _line(chart, each, series, width)
        parts += _selection(chart, each, width)
    parts.append("</svg>")
    return "".join(parts)


def picture(chart: Chart, width: float = WIDTH) -> str:
    """The chart as an image that needs neither script nor kernel."""
    data = base64.b64encode(svg(chart, width).encode()).decode()
    return f'<img alt="{_text(chart.title)}" src="data:image/svg+xml;base64,{data}" style="max-width:100%">'


def pointed(chart: Chart, width: float = WIDTH) -> dict[str, Any]:
    """What a reader can point at: the places and texts of all values, and where the panes are."""
    placed = _placed(chart)
    return {
        "width": width,
        "height": placed[-1].bottom + _BOTTOM,
        "left": _LEFT,
        "right": width - _RIGHT,
        "x": list(chart.x),
        "xLabel": chart.x_label,
        "panes": [
            {
                "label": each.pane.label,
                "top": each.top,
                "bottom": each.bottom,
                "banded": each.pane.banded,
                "series": [_pointed_series(chart, each, series, width) for series in each.pane.series],
            }
            for each in placed
        ],
    }


def values_of(chart: Chart, pane: int, low: float, high: float) -> tuple[float, float]:
    """The values of a pane at two shares of its height (0 is its bottom)."""
    each = _placed(chart)[pane]
    if each.pane.log:
        return each.low * (each.high / each.low) ** low, each.low * (each.high / each.low) ** high
    return each.low + low * (each.high - each.low), each.low + high * (each.high - each.low)


def _pointed_series(chart: Chart, place: _Placed, series: Series, width: float) -> dict[str, Any]:
    x, y, inside = _pixels(chart, place, series.x, series.y, width)
    shown = np.flatnonzero(inside).tolist()
    write = place.pane.write
    return {
        "label": visible(series.label),
        "colour": series.colour,
        "x": np.round(x[inside], 1).tolist(),
        "y": np.round(y[inside], 1).tolist(),
        "t": [series.texts[i] if series.texts else write(series.y[i]) for i in shown],
    }


def _pixels(
    chart: Chart, place: _Placed, xs: Sequence[float], ys: Sequence[float], width: float
) -> tuple[Floats, Floats, Floats]:
    """The places of values in the picture, and which are inside it."""
    x, y = np.asarray(xs, dtype="float64"), np.asarray(ys, dtype="float64")
    inside = (x >= chart.x[0]) & (x <= chart.x[1]) & np.isfinite(y)
    if place.pane.log:
        share = np.log(np.maximum(np.where(inside, y, place.low), place.low) / place.low) / math.log(
            place.high / place.low
        )
    else:
        share = (np.where(inside, y, place.low) - place.low) / (place.high - place.low)
    across = (x - chart.x[0]) * ((width - _LEFT - _RIGHT) / max(chart.x[1] - chart.x[0], 1e-9)) + _LEFT
    return across, place.bottom - np.clip(share, 0.0, 1.0) * place.pane.height, inside


def _placed(chart: Chart) -> list[_Placed]:
    found, top = [], _HEADER
    for pane in chart.panes:
        found.append(_Placed(pane, top, *_range(chart, pane)))
        top += pane.height + _HEADER
    return found


def _range(chart: Chart, pane: Pane) -> tuple[float, float]:
    values: list[float] = []
    for series in pane.series:
        x = np.asarray(series.x, dtype="float64")
        for side in (series.y, series.low, series.high):
            if len(side):
                y = np.asarray(side, dtype="float64")
                kept = y[(x >= chart.x[0]) & (x <= chart.x[1]) & np.isfinite(y) & ((y > 0) | (not pane.log))]
                values += [float(kept.min()), float(kept.max())] if len(kept) else []
    if pane.cells is not None:
        values += [pane.cells.y[0], pane.cells.y[-1]]
    if not values:
        return (1.0, 10.0) if pane.log else (0.0, 1.0)
    low, high = min(values), max(values)
    if pane.log:
        return low / _ROOM, max(high * _ROOM, low * 1.2)
    low = min(low * _ROOM, 0.0)
    return low, max(high * _ROOM, low + 1e-9) if high > 0 else (0.0 if low < 0 else 1.0)


def _x(chart: Chart, value: float, width: float) -> float:
    share = (value - chart.x[0]) / max(chart.x[1] - chart.x[0], 1e-9)
    return _LEFT + share * (width - _LEFT - _RIGHT)


def _text(value: str) -> str:
    return escape(visible(value))


def _frame(chart: Chart, place: _Placed, width: float, *, last: bool) -> Iterator[str]:
    """The pane's label, the names of its lines, its grid and its ticks."""
    ink = f'fill="{INK}" class="perflab-ink"'
    right = width - _RIGHT
    label = _text(_written(place.pane))
    yield f'<text x="{_LEFT}" y="{place.top - 8:.0f}" font-weight="600" {ink}>{label}</text>'
    x = right
    for series in reversed(_named(place.pane, right - _LEFT)):
        name = _text(series.label[:_LONGEST_NAME])
        x -= _room(series)
        if series.marker:
            yield _shape(series, x + 7, place.top - 12)
        else:
            line = f'stroke="{series.colour}" stroke-width="2.5"{_dashes(series)}'
            yield f'<path d="M{x:.0f} {place.top - 12:.0f}h14" {line}/>'
        yield f'<text x="{x + 18:.0f}" y="{place.top - 8:.0f}" {ink}>{name}</text>'
    for value in (_log_ticks if place.pane.log else _ticks)(
        place.low, place.high, max(3, int(place.pane.height // 32))
    ):
        y = place.at(value)
        yield f'<path d="M{_LEFT} {y:.1f}H{right:.1f}" stroke="#888" stroke-opacity=".25"/>'
        written = _text(place.pane.write(value))
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" {ink}>{written}</text>'
    for value in _ticks(*chart.x, max(2, int(width // 110))):
        at = _x(chart, value, width)
        yield f'<path d="M{at:.1f} {place.top:.1f}V{place.bottom:.1f}" stroke="#888" stroke-opacity=".15"/>'
        if last:
            written = _text(chart.x_write(value))
            yield f'<text x="{at:.1f}" y="{place.bottom + 15:.1f}" text-anchor="middle" {ink}>{written}</text>'
    if last:
        middle = (_LEFT + right) / 2
        yield f'<text x="{middle:.0f}" y="{place.bottom + 31:.1f}" text-anchor="middle" {ink}>{_text(chart.x_label)}</text>'


def _written(pane: Pane) -> str:
    return f"{pane.label} (log scale)" if pane.log else pane.label


def _named(pane: Pane, width: float) -> list[Series]:
    """The series whose names fit beside the pane's label; the pointer names them all."""
    found, left = [], width - 7 * len(_written(pane)) - 8
    for series in (s for s in pane.series if s.label):
        left -= _room(series)
        if left < 0:
            break
        found.append(series)
    return found


def _room(series: Series) -> float:
    """The width of a name and its mark."""
    return 7 * min(len(series.label), _LONGEST_NAME) + 32


def _line(chart: Chart, place: _Placed, series: Series, width: float) -> Iterator[str]:
    if len(series.low) and len(series.high):
        forth = _points(chart, place, series.x, series.high, width)
        back = _points(chart, place, series.x, series.low, width)
        for upper, lower in zip(forth, back, strict=False):
            corners = " ".join([*upper, *reversed(lower)])
            yield f'<polygon points="{corners}" fill="{series.colour}" fill-opacity=".18"/>'
    for stretch in _points(chart, place, series.x, series.y, width):
        if len(stretch) == 1:
            x, y = stretch[0].split(",")
            yield f'<circle cx="{x}" cy="{y}" r="2" fill="{series.colour}"/>'
        else:
            yield (
                f'<polyline points="{" ".join(stretch)}" fill="none" stroke="{series.colour}" stroke-width="2" '
                f'stroke-linejoin="round"{_dashes(series)}/>'
            )


def _points(chart: Chart, place: _Placed, xs: Sequence[float], ys: Sequence[float], width: float) -> list[list[str]]:
    """The points inside the picture, in stretches without a gap."""
    x, y, inside = _pixels(chart, place, xs, ys, width)
    known = np.flatnonzero(inside)
    if not len(known):
        return []
    written = list(map("%.1f,%.1f".__mod__, zip(x[known].tolist(), y[known].tolist(), strict=True)))
    ends = [0, *(np.flatnonzero(np.diff(known) > 1) + 1).tolist(), len(known)]
    return [written[begin:end] for begin, end in itertools.pairwise(ends)]


def _dashes(series: Series) -> str:
    return f' stroke-dasharray="{series.dashes}"' if series.dashes else ""


_SHAPES = {
    "o": '<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{c}"/>',
    "s": '<path d="M{x:.1f} {y:.1f}m-{r}-{r}h{d}v{d}h-{d}z" fill="{c}"/>',
    "^": '<path d="M{x:.1f} {y:.1f}m0-{r}l{r} {d}h-{d}z" fill="{c}"/>',
    "D": '<path d="M{x:.1f} {y:.1f}m0-{r}l{r} {r}l-{r} {r}l-{r}-{r}z" fill="{c}"/>',
    "x": '<path d="M{x:.1f} {y:.1f}m-{r}-{r}l{d} {d}m0-{d}l-{d} {d}" stroke="{c}" stroke-width="2" fill="none"/>',
}


def _marks(chart: Chart, place: _Placed, series: Series, width: float) -> Iterator[str]:
    bounds = zip(series.low, series.high, strict=True) if len(series.low) else [(math.nan, math.nan)] * len(series.x)
    for x, y, (low, high) in zip(series.x, series.y, bounds, strict=True):
        if not (chart.x[0] <= x <= chart.x[1] and math.isfinite(y)):
            continue
        at = _x(chart, x, width)
        if low == low:
            yield (
                f'<path d="M{at:.1f} {place.at(low):.1f}V{place.at(high):.1f}" stroke="{series.colour}" stroke-width="2"/>'
            )
        yield _shape(series, at, place.at(y))


def _shape(series: Series, x: float, y: float) -> str:
    return _SHAPES.get(series.marker, _SHAPES["D"]).format(x=x, y=y, r=4, d=8, c=series.colour)


def _cells(chart: Chart, place: _Placed, cells: Cells, width: float) -> Iterator[str]:
    ends = [place.at(value) for value in cells.y]
    for column, shares in enumerate(cells.shares):
        left, right = (_x(chart, cells.x[column + i], width) for i in (0, 1))
        if right <= _LEFT or left >= width - _RIGHT:
            continue
        left, right = max(left, _LEFT), min(right, width - _RIGHT)
        across = f'<rect x="{left:.1f}" width="{right - left:.1f}" fill="{cells.colour}"'
        for share, bottom, top in zip(shares, ends, ends[1:], strict=False):
            if share > 0:
                yield f'{across} y="{top:.1f}" height="{bottom - top:.1f}" fill-opacity="{0.12 + 0.78 * share:.2f}"/>'


def _selection(chart: Chart, place: _Placed, width: float) -> Iterator[str]:
    if chart.selected is None:
        return
    begin, end, low, high = chart.selected
    left, right = (min(width - _RIGHT, max(_LEFT, _x(chart, x, width))) for x in (begin, end))
    top, bottom = (place.at(high), place.at(low)) if place.pane.banded else (place.top, place.bottom)
    yield (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(1.0, right - left):.1f}" height="{max(1.0, bottom - top):.1f}" '
        f'fill="#888" fill-opacity=".18" stroke="{INK}" stroke-dasharray="4 3"/>'
    )


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between two bounds."""
    rough = (high - low) / max(1, most)
    if not math.isfinite(rough) or rough <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """1, 2 and 5 times powers of ten, or only the powers where there is no room for more."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(found) <= most + 1:
            break
    return found
