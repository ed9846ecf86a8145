"""The distribution of latencies, by arm and run."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from perflab.data.tables import AGGREGATED, Measurements
from perflab.plots.drawing import (
    GREY,
    LOWEST_MS,
    Floats,
    arms_of,
    axes,
    finding,
    latencies_of,
    log_axis,
    metric_of,
    quantiles,
    read_as,
    titled,
    usual_warmup,
)

_CURVE_POINTS = 400

_THIN_LINES = 24

_BOLD = "thin: each run; bold: geometric mean of the runs at each percentile"


def plot_ecdf(
    *measurements: Measurements,
    endpoint: str = AGGREGATED,
    percentile: float = 95,
    warmup: str | float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of requests below each latency, by arm and run, up to the slowest request.

    Parameters
    ----------
    *measurements : Measurements
        Runs of one or more arms; each run is a thin line, the geometric mean of an arm's runs at each percentile a bold one.
    endpoint : str
        One endpoint, or all of them ("Aggregated").
    percentile : float
        The percentile to mark, and to name in the title.
    warmup : str or float
        What to leave out at the start of each run: a fraction of its time ("10%") or a duration ("5s"); by default the
        plan's warm-up, or 10 %; 0 shows everything.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: latency in ms (log); y: percentile, stretched towards the tail (50, 90, 99, 99.9 % at equal distances).

    Raises
    ------
    ValueError
        There is no request to that endpoint (the message lists the endpoints).
    MissingTableError
        There are no raw requests.

    >>> import perflab as lab
    >>> ax = lab.plot_ecdf(lab.load("datasets/shop_runs"), endpoint="GET /orders")  # doctest: +SKIP
    """
    metric, q = metric_of(percentile)
    arms = arms_of(measurements, latencies=True)
    warmup = usual_warmup(arms, warmup)
    latencies = [latencies_of(arm, endpoint, warmup) for arm in arms]
    ax = axes(ax)
    longest = [max(len(v) for v in runs.values()) for runs in latencies]
    deepest, marks = max(longest), []
    for arm, runs, length in zip(arms, latencies, longest, strict=True):
        shares = _shares(length)
        both = [(np.maximum(quantiles(v, shares), LOWEST_MS), quantiles(v, q)) for v in runs.values()]
        curves = np.array([curve for curve, _ in both])
        if len(curves) > 1:
            for curve in curves[:_THIN_LINES]:
                ax.plot(curve, shares, color=arm.colour, linewidth=0.7, alpha=0.35, zorder=2)
        middle = _between(np.exp(np.log(curves).mean(axis=0)), curves)
        ax.plot(middle, shares, color=arm.colour, linestyle=arm.dashes, linewidth=2.4, label=arm.label)
        each = np.array([mark for _, mark in both])
        marks.append(float(_between(metric.typical(each), each)))
        ax.plot(
            max(marks[-1], LOWEST_MS),
            q,
            marker=arm.marker,
            color=arm.colour,
            markersize=8,
            markeredgecolor="white",
            zorder=5,
        )
    _tail_axis(ax, deepest)
    log_axis(ax.xaxis, "Latency, ms (log scale)")
    ax.axhline(q, color=GREY, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
    ax.legend(frameon=False, loc="lower right", handlelength=3.2)
    how = _BOLD if any(a.runs > 1 for a in arms) else "up to the slowest request"
    titled(ax, finding(metric, endpoint, arms, marks), read_as(arms, warmup, how))
    return ax


def _between(mean: Any, values: Floats) -> Any:
    """A mean clipped to the values, so that rounding does not push it outside equal ones (matplotlib's limits)."""
    return np.clip(mean, values.min(axis=0), values.max(axis=0))


def _shares(count: int) -> Floats:
    """Fractions at which to draw a curve of ``count`` values, denser towards the slowest value."""
    even = np.linspace(0, 1, min(count, _CURVE_POINTS // 2) + 1)[:-1]
    tail = 1 - np.geomspace(0.5, 0.5 / count, min(count, _CURVE_POINTS // 2))
    return np.unique(np.concatenate([even, tail]))


def _tail_axis(ax: Axes, count: int) -> None:
    """Make y a percentile axis, stretched like HdrHistogram's: from 90 to 99 is as far as from 99 to 99.9."""
    floor = 0.4 / max(count, 2)
    ax.set_yscale("function", functions=(lambda p: -np.log10(np.maximum(1 - p, floor)), lambda y: 1 - 10.0**-y))
    ticks = [
        t
        for t in (0.0, 0.5, *((0.75,) if count < 1e4 else ()), 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)
        if 1 - t >= floor
    ]
    ax.set_yticks(ticks)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{p * 100:.6g}"))
    ax.set_ylim(0, 1 - floor)
    ax.set_ylabel("Requests at or below, %")


def plot_histogram(
    *measurements: Measurements,
    endpoint: str = AGGREGATED,
    percentile: float = 95,
    bins: int = 60,
    warmup: str | float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of requests in latency bins (of equal width on the log scale), by arm.

    Parameters
    ----------
    *measurements : Measurements
        Runs of one or more arms; the runs of an arm have equal weight, whatever their number of requests.
    endpoint : str
        One endpoint, or all of them ("Aggregated").
    percentile : float
        Marked by a line and named in the title.
    bins : int
        The number of bins between the fastest and the slowest request.
    warmup : str or float
        As for `plot_ecdf`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: latency in ms (log), up to the slowest request; y: share of the requests (log), so that the few slow ones are
        visible.

    Raises
    ------
    ValueError
        There is no request to that endpoint, or ``bins`` is not between 2 and 500.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> lab.plots.plot_histogram(runs, endpoint="GET /orders").get_xlabel()
    'Latency, ms (log scale)'
    """
    metric, q = metric_of(percentile)
    if not 2 <= bins <= 500:
        raise ValueError(f"bins must be between 2 and 500; got {bins!r}")
    arms = arms_of(measurements, latencies=True)
    warmup = usual_warmup(arms, warmup)
    latencies = [latencies_of(arm, endpoint, warmup) for arm in arms]
    ends = np.array([(v.min(), v.max()) for runs in latencies for v in runs.values()])
    low, high = np.maximum([ends[:, 0].min(), ends[:, 1].max()], LOWEST_MS)
    edges = np.geomspace(low, max(high, low * 1.01), bins + 1)
    edges[0], edges[-1] = low * (1 - 1e-9), edges[-1] * (1 + 1e-9)
    ax = axes(ax)
    marks = []
    for arm, runs in zip(arms, latencies, strict=True):
        both = [(np.histogram(np.maximum(v, LOWEST_MS), edges)[0] / len(v), quantiles(v, q)) for v in runs.values()]
        shares = [share for share, _ in both]
        ax.stairs(
            np.mean(shares, axis=0), edges, color=arm.colour, linestyle=arm.dashes, linewidth=1.8, label=arm.label
        )
        marks.append(metric.typical(np.array([mark for _, mark in both])))
        ax.axvline(max(marks[-1], LOWEST_MS), color=arm.colour, linestyle=arm.dashes, linewidth=1.0)
    ax.set_yscale("log")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.6g} %"))
    ax.set_ylabel("Requests in the slice, % (log scale)")
    log_axis(ax.xaxis, "Latency, ms (log scale)")
    ax.legend(frameon=False, loc="upper right", handlelength=3.2)
    how = f"vertical lines: {metric.label}; up to the slowest request"
    titled(ax, finding(metric, endpoint, arms, marks), read_as(arms, warmup, how))
    return ax
