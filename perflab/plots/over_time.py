"""Latency, load and resources over the time since each run's start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from perflab.data.run_blocks import Blocks, Codes, blocks_of, grouping_order
from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import one_of
from perflab.metrics import RATE, SHARE, Metric
from perflab.plots.drawing import (
    GREY,
    LOWEST_MS,
    Arm,
    Floats,
    arms_of,
    axes,
    finding,
    log_axis,
    metric_axis,
    metric_of,
    panels,
    pieces_of,
    plain,
    read_as,
    seconds_since_start,
    tidy,
    titled,
    typical,
    usual_warmup,
)
from perflab.reductions import between_ranks, ranks_of
from perflab.units import format_fraction, format_number

_SCATTER_POINTS = 1500

_SLOWEST_POINTS = 100

_QUANTITIES = {"cpu_cores": "CPU, cores busy", "rss_bytes": "Memory (RSS), MB", "threads": "Threads"}

_SCALES = {"rss_bytes": 1e-6}

_PROCESS_WIDTHS = (2.2, 1.1, 0.7)


def plot_timeline(
    *measurements: Measurements,
    endpoint: str = AGGREGATED,
    percentile: float = 95,
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw latency (or another metric) over the time since each run's start, with users and CPU below if recorded.

    Parameters
    ----------
    *measurements : Measurements
        Runs of one or more arms, aligned at their start.
    endpoint : str
        One endpoint, or all of them ("Aggregated").
    percentile : float
        Drawn for each slice of time: the median of an arm's runs as a line, their range as a band.
    metric : str
        "mean", "throughput_per_s" or "error_fraction" instead of the percentile.
    ax : Axes
        For the upper panel alone; by default a new figure with the panels below.

    Returns
    -------
    Axes
        The upper panel (the figure's other Axes hold users and CPU). Dots are single requests, evenly sampled and always
        including the slowest; crosses are failed ones. The title has the metric of the runs after the warm-up, as `compare`.

    Raises
    ------
    ValueError
        There is no request to that endpoint, or the metric is unknown.
    MissingTableError
        There are no raw requests.

    >>> import perflab as lab
    >>> lab.plot_timeline(lab.load("datasets/shop_runs"), endpoint="GET /orders").get_ylabel()
    'Latency, ms (log scale)'
    """
    kind = Metric.of(metric) if metric else metric_of(percentile)[0]
    arms = arms_of(measurements)
    pieces = [pieces_of(arm, endpoint) for arm in arms]
    extents = [np.array([(at.min(), at.max(), len(at)) for _, at in of_arm()]).T for of_arm in pieces]
    first, last = min(float(e[0].min()) for e in extents), max(float(e[1].max()) for e in extents)
    counts = [int(e[2].sum()) for e in extents]
    rows = min(count / arm.runs for count, arm in zip(counts, arms, strict=True))
    edges = edges_of(first, last, rows, enough(kind.share))
    with_load = [a for a in arms if "load" in a.data.tables and a.data.length("load")] if ax is None else []
    with_cpu = [a for a in arms if "resources" in a.data.tables and a.data.length("resources")] if ax is None else []
    column = [axes(ax)] if ax is not None else panels([3.2] + [0.9] * bool(with_load) + [1.1] * bool(with_cpu))
    main, below = column[0], column[1:]
    for arm, of_arm, count in zip(arms, pieces, counts, strict=True):
        _upper_panel(main, arm, of_arm(), count, edges, kind)
    _metric_axis(main, kind)
    main.legend(
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=min(4, len(arms)),
        handlelength=2.6,
        columnspacing=1.2,
    )
    if with_load:
        _over_time(below[0], with_load, "load", "users", edges, "Users")
    if with_cpu:
        _over_time(below[-1], with_cpu, "resources", "cpu_cores", edges, "CPU, cores", explain=True)
    column[-1].set_xlabel("Time since the run's start, s")
    warmup = usual_warmup(arms, None)
    marks = [typical(arm, kind, endpoint, warmup) for arm in arms]
    band = "; band: range of the runs" if any(arm.runs > 1 for arm in arms) else ""
    dots = "; dots: requests, × failed" if kind.is_latency else ""
    how = f"line: {kind.label} per {edges[1] - edges[0]:.3g} s{band}{dots}; title: after the warm-up"
    titled(main, finding(kind, endpoint, arms, marks), read_as(arms, 0, f"{how} ({format_fraction(float(warmup))})"))
    return main


def plot_users(*measurements: Measurements, ax: Axes | None = None) -> Axes:
    """Draw the offered users over the time since each run's start, by arm (median of its runs).

    Parameters
    ----------
    *measurements : Measurements
        Runs of one or more arms; their ``load`` table.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: seconds since the run's start; y: users.

    Raises
    ------
    MissingTableError
        There is no load table.

    >>> import perflab as lab
    >>> lab.plots.plot_users(lab.load("datasets/shop_runs")).get_ylabel()
    'Users'
    """
    arms = arms_of(measurements)
    seconds = [seconds_since_start(a.data.load, "time", a.data.runs) for a in arms]
    ax = axes(ax, height=2.6)
    _over_time(ax, arms, "load", "users", slices(seconds, [a.runs for a in arms], 1), "Users")
    ax.set_xlabel("Time since the run's start, s")
    ax.legend(frameon=False, loc="lower right", ncols=min(4, len(arms)), handlelength=3.2)
    most = ", ".join(f"{arm.label} {format_number(float(arm.data.load['users'].max()))}" for arm in arms[:4])
    titled(ax, f"Peak users: {most}", read_as(arms, 0, "median of the arm's runs"))
    return ax


def plot_resources(
    *measurements: Measurements,
    quantities: Sequence[str] = ("cpu_cores", "rss_bytes"),
    ax: Axes | None = None,
) -> Axes:
    """Draw CPU and memory of each process over the time since the run's start, by arm (median of its runs).

    Parameters
    ----------
    *measurements : Measurements
        Runs with a ``resources`` table.
    quantities : sequence of str
        Its columns, with a panel each: "cpu_cores" (1.0 is one busy core), "rss_bytes", "threads".
    ax : Axes
        For the first quantity alone; by default a new figure with a panel for each.

    Returns
    -------
    Axes
        The panel of the first quantity.

    Raises
    ------
    MissingTableError
        There is no ``resources`` table.
    ValueError
        A quantity is unknown.

    >>> import perflab as lab
    >>> lab.plots.plot_resources(lab.load("datasets/shop_runs")).get_ylabel()
    'CPU, cores busy'
    """
    for quantity in quantities:
        if quantity not in _QUANTITIES:
            raise one_of("quantities", quantity, _QUANTITIES)
    arms = arms_of(measurements)
    seconds = [seconds_since_start(a.data.resources, "time", a.data.runs) for a in arms]
    edges = slices(seconds, [a.runs for a in arms], 1)
    column = [axes(ax)] if ax is not None else panels([2.4] * len(quantities))
    for panel, quantity in zip(column, quantities, strict=False):
        _over_time(panel, arms, "resources", quantity, edges, _QUANTITIES[quantity])
    column[0].legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1), handlelength=3.2, fontsize=8.5)
    figure = column[0].get_figure(root=True)
    if ax is None and figure is not None:
        figure.subplots_adjust(right=0.74)
    column[-1].set_xlabel("Time since the run's start, s")
    busiest = [_busiest(arm) for arm in arms]
    titled(column[0], "Busiest process: " + "; ".join(busiest), read_as(arms, 0, "lines: median of the arm's runs"))
    return column[0]


def _busiest(arm: Arm) -> str:
    resources = arm.data.resources
    mean = resources[~resources["process"].isin(("machine", "other"))].groupby("process")["cpu_cores"].mean()
    return f"{arm.label} {plain(mean.idxmax(), 30)} {mean.max():.2f} cores"


def _over_time(
    ax: Axes, arms: Sequence[Arm], table: str, column: str, edges: Floats, label: str, *, explain: bool = False
) -> None:
    """Draw the median over the arm's runs in each slice of time, with a thinner line for each further process."""
    tidy(ax)
    processes = _processes(arms, table)
    for arm in arms:
        for process, middle in median_by_process(arm.data, [arm.data.runs["run"]], table, column, edges)[0]:
            known = ~np.isnan(middle)
            ax.plot(
                (edges[:-1] + np.diff(edges) / 2)[known], middle[known] * _SCALES.get(column, 1.0), color=arm.colour,
                linestyle=arm.dashes, linewidth=_PROCESS_WIDTHS[min(processes.index(process), 2)],
                label=plain(f"{arm.label}: {process}" if process else arm.label),
            )  # fmt: skip
    widths = zip(("thick", "thin", "thinnest"), processes, strict=False)
    thinner = ", ".join(f"{width}: {plain(process, 24)}" for width, process in widths if process)
    if explain and thinner:
        ax.annotate(thinner, (0, 1), xycoords="axes fraction", xytext=(4, -2), textcoords="offset points", fontsize=7.5,
                    color=GREY, va="top")  # fmt: skip
    ax.set_ylabel(label)
    ax.set_ylim(0, ax.get_ylim()[1] * (1.3 if explain and thinner else 1.05))


def median_by_process(
    measured: Measurements, arms: Sequence[Sequence[str]], table: str, column: str, edges: Floats
) -> list[list[tuple[str, Floats]]]:
    """For each arm (its runs), of each process ("" where the table names none) the median of the runs' means in each slice of
    time."""
    frame, count = measured.tables[table], len(edges) - 1
    at = np.clip(np.digitize(seconds_since_start(frame, "time", measured.runs), edges) - 1, 0, count - 1)
    process, names = pd.factorize(frame["process"]) if "process" in frame else (np.zeros(len(frame), "intp"), [""])
    blocks, run = blocks_of(frame["run"]), np.empty(len(frame), dtype="intp")
    for place, rows in enumerate(blocks):
        run[rows] = place
    size, shape = len(names) * len(blocks.names), (len(names), len(blocks.names), count)
    held = np.bincount(process * shape[1] + run, minlength=size).reshape(shape[:2]) > 0
    values = frame[column].to_numpy(dtype="float64", na_value=np.nan)
    known = ~np.isnan(values)
    cell = ((process * shape[1] + run) * count + at)[known]
    sums = np.bincount(cell, weights=values[known], minlength=size * count)
    with np.errstate(invalid="ignore"):
        means = (sums / np.bincount(cell, minlength=size * count)).reshape(shape)
    places = {str(name): place for place, name in enumerate(blocks.names)}
    found = []
    for runs in arms:
        own = [places[str(name)] for name in runs if str(name) in places]
        found.append([(str(name), median_of(means[i, own])) for i, name in enumerate(names) if held[i, own].any()])
    return found


def median_of(by_run: Floats) -> Floats:
    """The median of the runs (rows) in each column; NaN where no run has a value."""
    known, middle = ~np.isnan(by_run), np.full(by_run.shape[1], np.nan)
    whole, some = known.all(axis=0), known.any(axis=0)
    middle[whole] = np.median(by_run[:, whole], axis=0)
    if (part := some & ~whole).any():  # numpy's nanmedian takes milliseconds for a handful of values
        middle[part] = np.nanmedian(by_run[:, part], axis=0)
    return middle


def _processes(arms: Sequence[Arm], table: str) -> list[str]:
    """Each process once, in order of appearance; "" for a table without processes."""
    tables = [arm.data.tables[table] for arm in arms]
    return list(dict.fromkeys(p for t in tables for p in (t["process"].unique() if "process" in t else [""])))


def _dots_of(frame: pd.DataFrame, at: Floats, begin: int, evenly: Codes) -> Floats:
    """Of the requests from place ``begin`` on, those of an even sample and the slowest: place, seconds, latency, success."""
    latency = frame["latency_ms"].to_numpy(dtype="float64")
    sampled = evenly[(evenly >= begin) & (evenly < begin + len(latency))] - begin
    few = min(_SLOWEST_POINTS, len(latency))
    limit = np.partition(latency, -few)[-few]
    above = np.flatnonzero(latency > limit)
    slowest = np.concatenate([above, np.flatnonzero(latency == limit)[: few - len(above)]])
    shown = np.union1d(sampled, slowest)
    return np.array([begin + shown, at[shown], latency[shown], frame["ok"].to_numpy(dtype=bool)[shown]])


def _dots(ax: Axes, arm: Arm, found: Sequence[Floats], evenly: Codes) -> None:
    """Draw single requests: an even sample, and the slowest of all (of equal ones the first); failed ones as crosses."""
    place, at, latency, succeeded = np.concatenate(found, axis=1)
    shown = np.isin(place, evenly)
    shown[np.lexsort([place, -latency])[:_SLOWEST_POINTS]] = True
    at, latency, ok = at[shown], np.maximum(latency[shown], LOWEST_MS), succeeded[shown] > 0
    ax.plot(at[ok], latency[ok], ".", color=arm.colour, markersize=2.2, alpha=0.25, zorder=1, rasterized=True)
    ax.plot(at[~ok], latency[~ok], "x", color=arm.colour, markersize=5, alpha=0.8, zorder=3, rasterized=True)


def _upper_panel(
    ax: Axes, arm: Arm, pieces: Iterable[tuple[pd.DataFrame, Floats]], count: int, edges: Floats, metric: Metric
) -> None:
    """Draw the metric in each slice of time as a line, and single requests behind it if it is a latency."""
    evenly, seen = np.linspace(0, count - 1, min(count, _SCATTER_POINTS)).astype("intp"), 0
    dots, values = [], []
    for frame, at in pieces:
        values.append(in_slices(frame, blocks_of(frame["run"]), at, edges, [metric])[0])
        dots.append(_dots_of(frame, at, seen, evenly))
        seen += len(frame)
    if metric.is_latency:
        _dots(ax, arm, dots, evenly)
    by_slice = pd.DataFrame(np.concatenate(values))
    middle = edges[:-1] + np.diff(edges) / 2
    ax.plot(
        middle, by_slice.median(), color=arm.colour, linestyle=arm.dashes, linewidth=2.2, label=arm.label, zorder=4,
        marker=arm.marker, markersize=5, markeredgecolor="white", markevery=max(1, len(middle) // 20),
    )  # fmt: skip
    if len(by_slice) > 1:
        ax.fill_between(middle, by_slice.min(), by_slice.max(), color=arm.colour, alpha=0.15, linewidth=0, zorder=2)


def in_slices(
    frame: pd.DataFrame, blocks: Blocks, at: Floats, edges: Floats, metrics: Sequence[Metric]
) -> list[Floats]:
    """Each metric by run (rows, as in the blocks) and slice of time (columns); NaN where there was no request."""
    found = [np.empty((len(blocks.names), len(edges) - 1)) for _ in metrics]
    latency, ok = frame["latency_ms"].to_numpy(), frame["ok"].to_numpy(dtype=bool)
    width, last = edges[1] - edges[0], len(edges) - 2
    for place, rows in enumerate(blocks):
        cell = np.clip(((at[rows] - edges[0]) / width).astype("int64"), 0, last)
        requests = np.bincount(cell, minlength=last + 1)
        for values, metric in zip(found, metrics, strict=True):
            if metric.kind == RATE:
                values[place] = requests / width
            elif metric.share is not None:
                values[place] = _quantile_of_cells(latency[rows], cell, requests, metric.share)
            else:
                weights = ~ok[rows] if metric.kind == SHARE else latency[rows]
                with np.errstate(invalid="ignore"):
                    values[place] = np.bincount(cell, weights=weights, minlength=last + 1) / requests
    return found


def _quantile_of_cells(latency: Floats, cell: Floats, requests: Floats, q: float) -> Floats:
    # Rows in the order of runs and time are grouped already.
    order = slice(None) if (np.diff(cell) >= 0).all() else grouping_order(cell, len(requests))
    grouped = np.maximum(latency[order], LOWEST_MS)
    ends, held = np.cumsum(requests), np.flatnonzero(requests)
    below, above, part = ranks_of(requests[held], [q])
    low, high = np.empty(len(held)), np.empty(len(held))
    for place, (cell_of, first, second) in enumerate(zip(held.tolist(), below.tolist(), above.tolist(), strict=True)):
        own = grouped[ends[cell_of] - requests[cell_of] : ends[cell_of]]
        own.partition((first, second))  # in place: `grouped` is a copy
        low[place], high[place] = own[first], own[second]
    values = np.full(len(requests), np.nan)
    values[held] = between_ranks(low, high, part)
    return values


def _metric_axis(ax: Axes, metric: Metric) -> None:
    if metric.is_latency:
        log_axis(ax.yaxis, "Latency, ms (log scale)")
        return
    metric_axis(ax, metric)
    ax.set_ylim(0, max(ax.get_ylim()[1], 0.01))


def enough(share: float | None) -> int:
    """The requests that a run should have in a slice of time: with fewer, a high percentile depends on the slowest one, and
    its line zigzags whatever the system does."""
    return 20 if share is None else int(np.clip(3 / (1 - share), 20, 400))


def slices(seconds: Sequence[Floats], runs: Sequence[int], enough: int = 20) -> Floats:
    """Edges of at most 60 equal slices of time, wide enough that a run has about ``enough`` rows in each."""
    first, last = min(float(s.min()) for s in seconds), max(float(s.max()) for s in seconds)
    return edges_of(first, last, min(len(s) / n for s, n in zip(seconds, runs, strict=True)), enough)


def edges_of(first: float, last: float, rows: float, enough: int) -> Floats:
    """The same from the first and last time, and the rows of a run."""
    begin = first if first > 0.1 * last else min(first, 0.0)
    return np.linspace(begin, max(last, begin + 1e-3) * (1 + 1e-9), int(np.clip(rows / enough, 5, 60)) + 1)
