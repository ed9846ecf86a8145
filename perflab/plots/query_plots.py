"""The statements of one unit of work as a waterfall, and the calls of a child over the rows of its parent."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from perflab.data.tables import Measurements
from perflab.plots.drawing import GREY, STYLES, axes, counted, plain, titled
from perflab.plots.page_plots import draw_exchanges
from perflab.queries.n_plus_one import findings_of
from perflab.queries.patterns import Search, found_by, growth_of, searched
from perflab.queries.shape import shape
from perflab.queries.statements import statements
from perflab.units import format_ms, format_number

_ROWS = 40
_LABEL = 46
_MARGIN = 0.38
_COLOURS = [style[0] for style in STYLES]


def plot_waterfall(
    queries: pd.DataFrame | Measurements, unit: str | None = None, *, dialect: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the statements of one unit of work, or the requests of one visit of a page, over time: a bar for each.

    An N+1 shows as a staircase of short bars in one colour. Repetitions of a statement (by fingerprint) share a line, so a
    loop of a thousand calls still fits.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements with one; or the exchanges of pages.
    unit : str
        The id of the unit, as in ``example_unit`` of the findings; by default the unit with the most time in the database.
        Of exchanges the page, by default the first.
    dialect : str
        The SQL dialect; by default that of the table's ``dialect`` column, or "generic".
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: milliseconds since the unit's first statement; y: statements from top to bottom, as fingerprints. Or x:
        milliseconds since the visit's first request; y: the requests in order, with their sizes on the wire.

    Raises
    ------
    ValueError
        There is no such unit, no statements, or no start times.

    >>> import perflab as lab
    >>> lab.plot_waterfall(lab.read("datasets/shop_queries.jsonl")).get_xlabel()
    'Time since the first statement, ms'
    """
    if isinstance(queries, Measurements) and "queries" not in queries.tables and "exchanges" in queries.tables:
        queries = queries.exchanges
    if isinstance(queries, pd.DataFrame) and "timings_ms" in queries.columns:
        return draw_exchanges(queries, unit, ax)
    prepared = statements(queries, dialect=dialect)
    frame = prepared.frame
    if frame.empty or frame["start"].isna().all():
        raise ValueError("queries must hold statements with the instants they started at; got none")
    names = prepared.units.names
    if unit is None:
        code = int(frame.groupby("unit")["duration_ms"].sum().idxmax())
    else:
        places = np.flatnonzero(names.to_numpy() == unit)
        if not len(places):
            raise ValueError(f"unit must be one of these queries', such as {names[:3].tolist()}; got {unit!r}")
        code = int(places[0])
    part = frame[frame["unit"] == code].reset_index(drop=True)
    start = pd.to_datetime(part["start"], utc=True)
    at = ((start - start.min()) / pd.Timedelta(milliseconds=1)).to_numpy()
    lines, left_out = _lines(part["fp"].to_numpy())
    own = ax is None
    ax = axes(ax, height=1.3 + 0.26 * (int(lines.max()) + 1 + bool(left_out)))
    figure = ax.get_figure(root=True)
    if own and figure is not None:
        figure.subplots_adjust(left=_MARGIN)
    _bars(ax, part, at, lines, prepared.fingerprints)
    end = float((at + part["duration_ms"].to_numpy()).max())
    busy = float(part["duration_ms"].sum())
    ax.set_xlabel("Time since the first statement, ms")
    route = next((r for r in part["route"] if r), "")
    name = f"{plain(route, 40)}, " if route else ""
    more = f"; {counted(left_out, 'further line')} left out" if left_out else ""
    titled(ax, f"{name}{counted(len(part), 'statement')}: {format_ms(busy)} of {format_ms(end)} in the database",
           f"unit {plain(names[code], 48)}; a bar per statement, repeats on one line, × calls{more}",
           left=-(_MARGIN - 0.02) / (0.98 - _MARGIN) if own else 0.0)  # fmt: skip
    return ax


def _lines(codes: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """The line of each statement: a new one where the fingerprint changes, one for all repetitions; -1 beyond the last."""
    changed = np.append(True, codes[1:] != codes[:-1])
    many = pd.Series(codes).groupby(codes).transform("size").to_numpy() >= 3
    first: dict[int, int] = {}
    lines = np.zeros(len(codes), dtype="int64")
    line = -1
    for place, (code, new, loop) in enumerate(zip(codes.tolist(), changed.tolist(), many.tolist(), strict=True)):
        if loop and code in first:
            lines[place] = first[code]
            continue
        if new:
            line += 1
        lines[place] = first.setdefault(code, line) if loop else line
    lines = np.unique(lines, return_inverse=True)[1]
    left_out = max(0, int(lines.max()) + 1 - _ROWS)
    return np.where(lines < _ROWS, lines, -1), left_out


def _bars(
    ax: Axes, part: pd.DataFrame, at: np.ndarray[Any, Any], lines: np.ndarray[Any, Any], fingerprints: tuple[str, ...]
) -> None:
    took = part["duration_ms"].to_numpy(dtype="float64")
    span = float((at + took).max()) or 1.0
    codes = part["fp"].to_numpy()
    repeated = [code for code, n in zip(*np.unique(codes, return_counts=True), strict=True) if n >= 3]
    labels: list[str] = []
    for line in range(int(lines.max()) + 1):
        mine = lines == line
        code = int(codes[mine][0])
        colour = _COLOURS[repeated.index(code) % len(_COLOURS)] if code in repeated else GREY
        bars = np.column_stack([at[mine], np.maximum(took[mine], span / 700)])
        ax.broken_barh(bars.tolist(), (line - 0.36, 0.72), facecolors=colour, linewidth=0)
        labels.append(_label(fingerprints[code], int(mine.sum())))
    ax.set_ylim(int(lines.max()) + 0.6, -0.6)
    ax.set_xlim(-0.01 * span, span * 1.02)
    ax.set_yticks(range(len(labels)), labels, fontsize=7.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")


def _label(fingerprint: str, calls: int) -> str:
    """The statement without its selected columns, and how often it ran."""
    short = re.sub(r"^select (?:distinct )?.{12,}? from ", "select … from ", fingerprint)
    return plain(short, _LABEL) + (f" × {calls:,}" if calls > 1 else "")


def plot_scaling(
    queries: pd.DataFrame | Measurements, pattern: int | pd.Series[Any] = 0, *, threshold: int = 5,
    dialect: str | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw the calls of a child against the rows of its parent, a dot per unit of work, with the fitted slope and interval.

    Dots on a rising line are an N+1; dots on a flat line are a constant fan-out.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    pattern : int or Series
        The row of ``find_n_plus_one(queries)`` to draw (0: the worst), or that row itself.
    threshold, dialect : int, str
        As for `find_n_plus_one`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: rows of the parent (or its LIMIT, or how often a nested parent ran: the label says which); y: calls of the child;
        band: the 95 % interval of the slope.

    Raises
    ------
    ValueError
        There is no such pattern, or it has no parent.

    >>> import perflab as lab
    >>> lab.plots.plot_scaling(lab.load("datasets/shop_recorded").where(arm="n+1")).get_ylabel()
    'Calls of the child per unit of work'
    """
    search = searched(queries, threshold, dialect)
    row = pattern if isinstance(pattern, pd.Series) else _row(findings_of(found_by(search), "pattern", ""), pattern)
    return draw_scaling(search, row, ax)


def draw_scaling(search: Search, row: pd.Series[Any], ax: Axes | None = None) -> Axes:
    """`plot_scaling` of a log that was searched before."""
    grown = growth_of(search, row)
    if grown is None or not len(grown.sizes):
        raise ValueError("the parent's size is unknown for this pattern, so calls cannot be drawn against its rows")
    ax = axes(ax)
    _dots(ax, grown.sizes, grown.calls)
    if grown.scaling.tested:
        _line(ax, grown.sizes, grown.calls, grown.scaling)
    ax.set_xlabel(grown.measure)
    ax.set_ylabel("Calls of the child per unit of work")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    below = shape(row["child"])
    name = row["route"] if isinstance(row["route"], str) else f"{below.tables[0]} by {', '.join(below.keys)}"
    titled(ax, f"{plain(name, 44)}: {row['evidence']}{_slope(grown.scaling)}",
           f"{counted(len(grown.sizes), 'unit')}; child: {plain(row['child'], 88)}")  # fmt: skip
    return ax


def _row(found: pd.DataFrame, pattern: int) -> pd.Series[Any]:
    if isinstance(pattern, bool) or not isinstance(pattern, int) or not 0 <= pattern < len(found):
        raise ValueError(f"pattern must be a row of find_n_plus_one, 0 to {len(found) - 1}; got {pattern!r}")
    return found.iloc[pattern]


def _slope(scaling: Any) -> str:
    if not scaling.tested:
        return ""
    low, high = format_number(round(scaling.low, 2)), format_number(round(scaling.high, 2))
    slope = format_number(round(scaling.slope, 2))
    calls = "call" if slope == "1" else "calls"
    return f", {slope} {calls} per row (95 % interval {low} to {high})"


def _dots(ax: Axes, sizes: np.ndarray[Any, Any], calls: np.ndarray[Any, Any]) -> None:
    """Draw a dot for each distinct point, sized by its number of units."""
    points, counts = np.unique(np.column_stack([sizes, calls]), axis=0, return_counts=True)
    ax.scatter(points[:, 0], points[:, 1], s=18 + 60 * np.sqrt(counts / counts.max()), color=_COLOURS[0], alpha=0.55, linewidth=0,
               zorder=3)  # fmt: skip


def _line(ax: Axes, sizes: np.ndarray[Any, Any], calls: np.ndarray[Any, Any], scaling: Any) -> None:
    x = np.array([sizes.min(), sizes.max()])
    middle, level = sizes.mean(), calls.mean()
    ax.plot(x, level + scaling.slope * (x - middle), color=_COLOURS[1], linewidth=1.8, zorder=2)
    ends = np.array([level + s * (x - middle) for s in (scaling.low, scaling.high)])
    ax.fill_between(x, ends.min(axis=0), ends.max(axis=0), color=_COLOURS[1], alpha=0.15, linewidth=0, zorder=1)
