"""Pictures of measurements: `plot_*` functions that draw on, and return, matplotlib Axes.

They aggregate before they draw, so a million requests make as many artists as a thousand; the slowest request
is always inside the picture. Every run of an arm is shown: the run is the unit of replication.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from perflab.drawing import (
    GREY,
    Arm,
    arms_of,
    axes,
    by_run,
    counted,
    log_axis,
    panels,
    plain,
    requests_of,
    seconds_since_start,
    tidy,
    titled,
)
from perflab.errors import one_of
from perflab.tables import AGGREGATED, Measurements
from perflab.units import format_fraction, format_ms, format_rate, parse_duration, parse_fraction

_CURVE_POINTS = 400
_SCATTER_POINTS = 1500
_SLOWEST_POINTS = 100
_THIN_LINES = 24
_BOLD = "thin: each run; bold: median of the arm's runs at each percentile"

Floats = np.ndarray[Any, Any]


def plot_ecdf(
    *measurements: Measurements,
    endpoint: str = AGGREGATED,
    percentile: float = 95,
    warmup: str | float = 0,
    ax: Axes | None = None,
) -> Axes:
    """The share of requests that were faster than each latency, by arm and run, up to the slowest one.

    Parameters
    ----------
    *measurements : runs of one or more arms; each run is a thin line, the median of an arm's runs at each
        percentile a bold one.
    endpoint : one endpoint, or all of them ("Aggregated").
    percentile : the one that is marked and named in the title, median of the runs.
    warmup : what to leave out at each run's start, a share of its time ("10%") or a duration ("5s");
        nothing by default.
    ax : Axes to draw on; a new figure if not given.

    Returns
    -------
    Axes. x: latency in ms (log); y: percentile, stretched towards the tail (50, 90, 99, 99.9 % equally far apart).

    Raises
    ------
    ValueError : no request to that endpoint (the text lists the endpoints). MissingTableError : no raw requests.

    >>> import perflab as lab
    >>> ax = lab.plot_ecdf(lab.load("datasets/shop_runs"), endpoint="GET /orders")  # doctest: +SKIP
    """
    q = _quantile_of(percentile)
    arms = arms_of(measurements)
    latencies = [by_run(_without_warmup(arm, requests_of(arm, endpoint), warmup), "latency_ms") for arm in arms]
    ax = axes(ax)
    deepest = max(len(v) for runs in latencies for v in runs.values())
    marks = []
    for arm, runs in zip(arms, latencies, strict=True):
        shares = _shares(max(len(v) for v in runs.values()))
        curves = np.array([_quantiles(v, shares) for v in runs.values()])
        if len(curves) > 1:
            for curve in curves[:_THIN_LINES]:
                ax.plot(curve, shares, color=arm.colour, linewidth=0.7, alpha=0.35, zorder=2)
        middle = np.median(curves, axis=0)
        ax.plot(middle, shares, color=arm.colour, linestyle=arm.dashes, linewidth=2.4, label=arm.label)
        marks.append(float(np.median([_quantiles(v, q) for v in runs.values()])))
        ax.plot(marks[-1], q, marker=arm.marker, color=arm.colour, markersize=8, markeredgecolor="white", zorder=5)
    _tail_axis(ax, deepest)
    log_axis(ax.xaxis, "Latency, ms (log scale)")
    ax.axhline(q, color=GREY, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
    ax.legend(frameon=False, loc="lower right", handlelength=3.2)
    how = _BOLD if any(a.runs > 1 for a in arms) else "up to the slowest request"
    titled(ax, _finding(f"p{percentile:g}", endpoint, arms, marks), _read_as(arms, warmup, how))
    return ax


def plot_timeline(
    *measurements: Measurements,
    endpoint: str = AGGREGATED,
    percentile: float = 95,
    ax: Axes | None = None,
) -> Axes:
    """Latency over the time since each run's start, by arm, with users and CPU below where they were recorded.

    Parameters
    ----------
    *measurements : runs of one or more arms, laid over one another by time since their start.
    endpoint : one endpoint, or all of them ("Aggregated").
    percentile : drawn for each slice of time: the median of an arm's runs as a line, their range as a band.
    ax : Axes for the latency alone; a new figure with the panels below if not given.

    Returns
    -------
    Axes of the latency (its figure's other Axes hold users and CPU). Dots are single requests: a sample, and
    always the slowest ones; a cross is a failed one.
    """
    q = _quantile_of(percentile)
    arms = arms_of(measurements)
    requests = [requests_of(arm, endpoint) for arm in arms]
    seconds = [seconds_since_start(r, "start", arm.data.runs) for arm, r in zip(arms, requests, strict=True)]
    edges = _slices(seconds, [arm.runs for arm in arms])
    with_load = [a for a in arms if "load" in a.data.tables and len(a.data.load)] if ax is None else []
    with_cpu = [a for a in arms if "resources" in a.data.tables and len(a.data.resources)] if ax is None else []
    column = [axes(ax)] if ax is not None else panels([3.2] + [0.9] * bool(with_load) + [1.1] * bool(with_cpu))
    main, below = column[0], column[1:]
    for arm, frame, at in zip(arms, requests, seconds, strict=True):
        _dots(main, arm, frame, at)
        _percentile_band(main, arm, frame, at, edges, q)
    log_axis(main.yaxis, "Latency, ms (log scale)")
    main.legend(frameon=False, loc="upper right", ncols=min(4, len(arms)), handlelength=3.2)
    if with_load:
        _over_time(below[0], with_load, "load", "users", edges, "Users")
    if with_cpu:
        _over_time(below[-1], with_cpu, "resources", "cpu_cores", edges, "CPU, cores", explain=True)
    column[-1].set_xlabel("Time since the run's start, s")
    marks = [_typical(r, q) for r in requests]
    band = "band: range of the runs; " if any(arm.runs > 1 for arm in arms) else ""
    how = f"line: p{percentile:g} of each {edges[1]:.3g} s; {band}dots: requests, × failed"
    titled(main, _finding(f"p{percentile:g}", endpoint, arms, marks), _read_as(arms, 0, how))
    return main


def plot_pairs(
    before: Measurements,
    after: Measurements,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    *,
    warmup: str | float = "10%",
    ax: Axes | None = None,
) -> Axes:
    """The metric of every run in the order they ran, the runs of a pair joined.

    Parameters
    ----------
    before, after : the runs of the two arms, as `run_pairs` returns them. Without a ``pair`` column nothing is joined.
    metric : "p95" or any "p<q>", "mean", "throughput_per_s" or "error_fraction".
    endpoint : one endpoint, or all of them ("Aggregated").
    warmup : left out at each run's start, as `compare` does.
    ax : Axes to draw on; a new figure if not given.

    Returns
    -------
    Axes. x: the order of the runs; y: the metric with its unit; horizontal lines: each arm's median.
    """
    arms = arms_of([before, after])
    if len(arms) != 2:
        raise ValueError(f"before and after must hold one arm each; got {', '.join(a.label for a in arms)}")
    write, label = _metric_words(metric)
    points = pd.concat([_metric_by_run(arm, metric, endpoint, warmup).assign(side=i) for i, arm in enumerate(arms)])
    points = points.sort_values(["start", "side"], kind="stable").assign(slot=np.arange(1, len(points) + 1))
    ax = axes(ax)
    for _, pair in points.dropna(subset="pair").groupby("pair"):
        if pair["side"].nunique() == 2:
            ax.plot(pair["slot"], pair["value"], color=GREY, linewidth=1.0, alpha=0.7, zorder=2)
    medians = []
    for side, arm in enumerate(arms):
        own = points[points["side"] == side]
        medians.append(float(own["value"].median()))
        ax.axhline(medians[-1], color=arm.colour, linestyle=arm.dashes, linewidth=1.2, alpha=0.8, zorder=1)
        ax.plot(own["slot"], own["value"], linestyle="none", marker=arm.marker, markersize=8, color=arm.colour,
                markeredgecolor="white", label=f"{arm.label} (line: median)", zorder=3)  # fmt: skip
    low, high = points["value"].min(), points["value"].max()
    if metric not in ("error_fraction",) and low > 0 and high / low > 3:
        log_axis(ax.yaxis, f"{label} (log scale)")
    else:
        ax.set_ylabel(label)
        ax.margins(y=0.15)
    ax.set_xlabel("Runs in the order they ran")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, loc="best", numpoints=1)
    joined = int(points.dropna(subset="pair").groupby("pair")["side"].nunique().eq(2).sum())
    how = f"{counted(joined, 'pair')}, joined" if joined else "not paired"
    titled(ax, _finding(metric, endpoint, arms, medians, write), _read_as(arms, warmup, f"each mark is a run; {how}"))
    return ax


def plot_resources(
    *measurements: Measurements,
    quantities: Sequence[str] = ("cpu_cores", "rss_bytes"),
    ax: Axes | None = None,
) -> Axes:
    """CPU and memory of each process over the time since the run's start, by arm (median of its runs).

    Parameters
    ----------
    *measurements : runs with a ``resources`` table.
    quantities : columns of it, a panel each: "cpu_cores" (1.0 is one core busy), "rss_bytes", "threads".
    ax : Axes for the first quantity alone; a new figure with a panel for each if not given.

    Returns
    -------
    Axes of the first quantity.
    """
    for quantity in quantities:
        if quantity not in _QUANTITIES:
            raise one_of("quantities", quantity, _QUANTITIES)
    arms = arms_of(measurements)
    seconds = [seconds_since_start(a.data.resources, "time", a.data.runs) for a in arms]
    edges = _slices(seconds, [a.runs for a in arms], 1)
    column = [axes(ax)] if ax is not None else panels([2.4] * len(quantities))
    for panel, quantity in zip(column, quantities, strict=False):
        _over_time(panel, arms, "resources", quantity, edges, _QUANTITIES[quantity])
    column[0].legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1), handlelength=3.2)
    column[-1].set_xlabel("Time since the run's start, s")
    busiest = [_busiest(arm) for arm in arms]
    titled(column[0], "Busiest process: " + "; ".join(busiest), _read_as(arms, 0, "lines: median of the arm's runs"))
    return column[0]


_QUANTITIES = {"cpu_cores": "CPU, cores busy", "rss_bytes": "Memory (RSS), MB", "threads": "Threads"}
_SCALES = {"rss_bytes": 1e-6}
_PROCESS_WIDTHS = (2.2, 1.1, 0.7)


def _busiest(arm: Arm) -> str:
    mean = arm.data.resources.groupby("process")["cpu_cores"].mean()
    return f"{arm.label} {plain(mean.idxmax(), 30)} {mean.max():.2f} cores"


def _over_time(
    ax: Axes, arms: Sequence[Arm], table: str, column: str, edges: Floats, label: str, *, explain: bool = False
) -> None:
    """The median over the arm's runs in each slice of time; a thinner line for each further process."""
    tidy(ax)
    processes = _processes(arms, table)
    for arm in arms:
        frame = arm.data.tables[table]
        at = np.clip(np.digitize(seconds_since_start(frame, "time", arm.data.runs), edges) - 1, 0, len(edges) - 2)
        names = frame["process"] if "process" in frame else pd.Series("", index=frame.index)
        for process, part in frame.assign(slice=at).groupby(names, sort=False):
            middle = part.groupby(["run", "slice"])[column].mean().groupby("slice").median() * _SCALES.get(column, 1.0)
            ax.plot(
                (edges[:-1] + np.diff(edges) / 2)[middle.index], middle, color=arm.colour, linestyle=arm.dashes,
                linewidth=_PROCESS_WIDTHS[min(processes.index(process), 2)],
                label=plain(f"{arm.label}: {process}" if process else arm.label),
            )  # fmt: skip
    widths = zip(("thick", "thin", "thinnest"), processes, strict=False)
    thinner = ", ".join(f"{width}: {plain(process, 24)}" for width, process in widths if process)
    if explain and thinner:
        ax.annotate(thinner, (0, 1), xycoords="axes fraction", xytext=(4, -2), textcoords="offset points", fontsize=7.5,
                    color=GREY, va="top")  # fmt: skip
    ax.set_ylabel(label)
    ax.set_ylim(0, ax.get_ylim()[1] * (1.3 if explain and thinner else 1.05))


def _processes(arms: Sequence[Arm], table: str) -> list[str]:
    """Each process once, in order of appearance; one without a name for a table that knows none."""
    tables = [arm.data.tables[table] for arm in arms]
    return list(dict.fromkeys(p for t in tables for p in (t["process"].unique() if "process" in t else [""])))


def _dots(ax: Axes, arm: Arm, frame: pd.DataFrame, at: Floats) -> None:
    """Single requests: evenly many of all of them, and the slowest; failed ones as crosses."""
    latency = np.maximum(frame["latency_ms"].to_numpy(), 1e-3)
    few = min(_SLOWEST_POINTS, len(latency))
    slowest = np.argpartition(latency, -few)[-few:]
    evenly = np.linspace(0, len(latency) - 1, min(len(latency), _SCATTER_POINTS)).astype(int)
    shown = np.unique(np.concatenate([evenly, slowest]))
    ok = frame["ok"].to_numpy(dtype=bool)[shown]
    at, latency = at[shown], latency[shown]
    ax.plot(at[ok], latency[ok], ".", color=arm.colour, markersize=2.2, alpha=0.25, zorder=1, rasterized=True)
    ax.plot(at[~ok], latency[~ok], "x", color=arm.colour, markersize=5, alpha=0.8, zorder=3, rasterized=True)


def _percentile_band(ax: Axes, arm: Arm, frame: pd.DataFrame, at: Floats, edges: Floats, q: float) -> None:
    count = len(edges) - 1
    codes, names = pd.factorize(frame["run"])
    cell = codes * count + np.clip(np.digitize(at, edges) - 1, 0, count - 1)
    order = np.argsort(cell, kind="stable")
    bounds = np.searchsorted(cell[order], np.arange(len(names) * count + 1))
    latency = np.maximum(frame["latency_ms"].to_numpy()[order], 1e-3)
    values = np.full(len(names) * count, np.nan)
    for i in np.flatnonzero(np.diff(bounds)):
        values[i] = _quantiles(latency[bounds[i] : bounds[i + 1]], q)
    by_slice = pd.DataFrame(values.reshape(len(names), count))
    middle = edges[:-1] + np.diff(edges) / 2
    ax.plot(middle, by_slice.median(), color=arm.colour, linestyle=arm.dashes, linewidth=2.2, label=arm.label, zorder=4)
    if len(names) > 1:
        ax.fill_between(middle, by_slice.min(), by_slice.max(), color=arm.colour, alpha=0.15, linewidth=0, zorder=2)


def _slices(seconds: Sequence[Floats], runs: Sequence[int], enough: int = 20) -> Floats:
    """Edges of at most 60 equal slices of time, so wide that a run has about ``enough`` rows in each."""
    last = max(float(s.max()) for s in seconds)
    rows = min(len(s) / n for s, n in zip(seconds, runs, strict=True))
    return np.linspace(0.0, max(last, 1e-3) * (1 + 1e-9), int(np.clip(rows / enough, 5, 60)) + 1)


def _typical(requests: pd.DataFrame, q: float) -> float:
    return float(np.median([_quantiles(v, q) for v in by_run(requests, "latency_ms").values()]))


def _quantiles(values: Floats, q: Any) -> Any:
    """Type 8 of Hyndman and Fan (1996), as everywhere in perflab."""
    return np.quantile(values, q, method="median_unbiased")


def _quantile_of(percentile: float) -> float:
    if not 0 < percentile < 100:
        raise ValueError(f"percentile must lie between 0 and 100; got {percentile!r}")
    return percentile / 100


def _shares(count: int) -> Floats:
    """Shares to draw a curve of ``count`` values at: dense, and ever denser towards the slowest value."""
    even = np.linspace(0, 1, min(count, _CURVE_POINTS // 2) + 1)[:-1]
    tail = 1 - np.geomspace(0.5, 0.5 / count, min(count, _CURVE_POINTS // 2))
    return np.unique(np.concatenate([even, tail]))


def _tail_axis(ax: Axes, count: int) -> None:
    """y as a percentile, stretched like HdrHistogram's plots: the same way from 90 to 99 as from 99 to 99.9."""
    floor = 0.4 / max(count, 2)
    ax.set_yscale("function", functions=(lambda p: -np.log10(np.maximum(1 - p, floor)), lambda y: 1 - 10.0**-y))
    ticks = [
        t
        for t in (0.0, 0.5, *((0.75,) if count < 1e4 else ()), 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)
        if 1 - t >= floor
    ]
    ax.set_yticks(ticks)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{p * 100:.6g} %"))
    ax.set_ylim(0, 1 - floor)
    ax.set_ylabel("Requests at or below, %")


def _without_warmup(arm: Arm, requests: pd.DataFrame, warmup: str | float) -> pd.DataFrame:
    """The requests that started after the warm-up: a share of each run's time, or a duration."""
    share = isinstance(warmup, (int, float)) or str(warmup).strip().endswith("%")
    length = parse_fraction(warmup, parameter="warmup") if share else parse_duration(warmup, parameter="warmup") / 1e3
    if length <= 0:
        return requests
    at = seconds_since_start(requests, "start", arm.data.runs)
    whole = requests["run"].map(arm.data.runs.set_index("run")["duration_ms"]).to_numpy() / 1e3
    kept = requests[at >= (length * whole if share else length)]
    if len(kept) == 0:
        raise ValueError(f"warmup must leave requests to show; {warmup!r} leaves none in arm {arm.label!r}")
    return kept


_METRIC = re.compile(r"p(\d{1,2}(?:\.\d+)?)$")


def _metric_words(metric: str) -> tuple[Any, str]:
    """How to write a value of the metric, and the label of its axis."""
    if metric == "throughput_per_s":
        return format_rate, "Throughput, requests/s"
    if metric == "error_fraction":
        return format_fraction, "Failed requests, share of 1"
    if metric == "mean" or _METRIC.match(metric):
        return format_ms, f"{metric} latency, ms"
    raise one_of("metric", metric, ("p95", "p<q>", "mean", "throughput_per_s", "error_fraction"))


def _metric_by_run(arm: Arm, metric: str, endpoint: str, warmup: str | float) -> pd.DataFrame:
    requests = _without_warmup(arm, requests_of(arm, endpoint), warmup)
    runs = arm.data.runs.set_index("run")
    grouped = requests.groupby("run")
    if metric == "throughput_per_s":
        value = grouped.size() / ((grouped["start"].max() - grouped["start"].min()).dt.total_seconds())
    elif metric == "error_fraction":
        value = 1 - grouped["ok"].mean()
    elif metric == "mean":
        value = grouped["latency_ms"].mean()
    else:
        q = _quantile_of(float(metric[1:]))
        value = pd.Series({run: float(_quantiles(v, q)) for run, v in by_run(requests, "latency_ms").items()})
    pair = runs["pair"] if "pair" in runs else pd.Series(pd.NA, index=runs.index)
    frame = pd.DataFrame({"value": value, "start": runs["start"], "pair": pair}).dropna(subset="value")
    return frame.rename_axis("run").reset_index()


def _finding(metric: str, endpoint: str, arms: Sequence[Arm], values: Sequence[float], write: Any = format_ms) -> str:
    where = "all endpoints" if endpoint == AGGREGATED else plain(endpoint, 40)
    listed = ", ".join(f"{arm.label} {write(value)}" for arm, value in list(zip(arms, values, strict=True))[:4])
    return f"{metric.replace('_', ' ').removesuffix(' per s')} of {where}: {listed}"


def _read_as(arms: Sequence[Arm], warmup: str | float, how: str) -> str:
    counts = {a.runs for a in arms}
    if len(counts) == 1:
        runs = counted(counts.pop(), "run") + (" each" if len(arms) > 1 else "")
    else:
        runs = ", ".join(f"{a.label} {counted(a.runs, 'run')}" for a in arms[:4])
    trimmed = f"; first {warmup if isinstance(warmup, str) else format_fraction(warmup)} left out" if warmup else ""
    return f"{runs}; {how}{trimmed}"
