"""Requests, users and CPU over time as a chart to point at: what `plot_timeline` draws, with the same values."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from perflab.data.run_blocks import blocks_of
from perflab.data.selection import without_recorded
from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Metric
from perflab.plots.drawing import (
    Arm,
    Floats,
    arms_of,
    finding,
    only_latencies,
    seconds_since_start,
    usual_warmup,
)
from perflab.plots.heatmap import counted_requests
from perflab.plots.over_time import edges_of, enough, in_slices, median_by_process, median_of
from perflab.plots.palette import BLUE, NEUTRAL, PURPLE
from perflab.plots.svg_charts import Cells, Chart, Pane, Series
from perflab.stats.estimates import by_run as metric_by_run
from perflab.stats.estimates import coded
from perflab.units import format_short, format_value, parse_fraction

_DASHES = ("", "6 3", "2 2", "7 3 2 3", "1 3", "9 4", "3 3")
_CELLS = (60, 24)
_MAX_PROCESSES = 3
_SAMPLE, _SLOWEST = 150_000, 500
"""Requests behind the cells: an even sample, and the slowest, each of which is to be seen."""


def timeline_chart(
    measurements: Measurements,
    *,
    endpoint: str,
    metric: Metric,
    span: tuple[float, float],
) -> Chart:
    """The metric by arm over the time since each run's start, with users and CPU below it if recorded.

    A line is the median of the arm's runs in a slice of time, the band their range; grey cells count the requests.
    """
    measured = without_recorded(measurements)
    arms = arms_of([Measurements(MappingProxyType({"runs": measured.runs}), measured.meta, ())])
    # All runs at once, and only these columns: a million rows are not copied for each arm.
    held = only_latencies(measured)
    requests = held.requests
    if endpoint != AGGREGATED:
        requests = requests[requests["endpoint"] == endpoint]
    at, blocks = seconds_since_start(requests, "start", measured.runs), blocks_of(requests["run"])
    counts, place = np.diff(blocks.ends), {str(run): position for position, run in enumerate(blocks.names)}
    rows = [[place[run] for run in map(str, arm.data.runs["run"]) if run in place] for arm in arms]
    for arm, own in zip(arms, rows, strict=True):
        if not own:
            raise ValueError(f"arm {arm.label!r} has no request to {endpoint!r}")
    per_run = min(int(counts[own].sum()) / arm.runs for arm, own in zip(arms, rows, strict=True))
    edges = edges_of(float(at.min()), float(at.max()), per_run, enough(metric.share))
    middle = (edges[:-1] + np.diff(edges) / 2).tolist()
    rate = Metric.of("throughput_per_s")
    by_run, paces = in_slices(requests, blocks, at, edges, [metric, rate])
    lines = [_line(arm, metric, middle, by_run[own], n) for n, (arm, own) in enumerate(zip(arms, rows, strict=True))]
    cells = _counted(at, requests["latency_ms"].to_numpy(), span) if metric.is_latency else None
    panes = [Pane(metric.axis_label, lines, 190.0, log=metric.is_latency, banded=metric.is_latency, cells=cells)]
    if metric.kind != rate.kind:
        pace = [_line(arm, rate, middle, paces[own], n) for n, (arm, own) in enumerate(zip(arms, rows, strict=True))]
        panes.append(Pane("Throughput, /s", pace))
    panes += _below(measured, arms, edges, middle)
    values = _typical(held, arms, metric, endpoint)
    return Chart(finding(metric, endpoint, arms, values), panes, span, "Time since the run's start, s")


def _typical(held: Measurements, arms: Sequence[Arm], metric: Metric, endpoint: str) -> list[float]:
    """The value of each arm, as `compare` computes it."""
    warmup = parse_fraction(usual_warmup(arms, None), parameter="warmup")
    if metric.is_latency:
        values = _by_run(held, metric, endpoint, warmup)
    else:
        table = metric_by_run(held, [metric], warmup=warmup)
        own = table[table["endpoint"] == endpoint]
        values = dict(zip(own["run"], own[metric.name], strict=True))
    return [
        metric.typical(np.array([values.get(str(run), np.nan) for run in arm.data.runs["run"]], dtype="float64"))
        for arm in arms
    ]


def _by_run(held: Measurements, metric: Metric, endpoint: str, warmup: float) -> dict[str, float]:
    """A latency by run, without those of the other endpoints."""
    found, blocks = coded(held), blocks_of(held.requests["run"])
    values = {}
    for run, rows in zip(map(str, blocks.names), blocks, strict=True):
        kept = found.age[rows] >= warmup
        if endpoint != AGGREGATED:
            kept &= found.endpoint[rows] == found.endpoints.index(endpoint)
        values[run] = metric.reduce(found.latency[rows][kept])
    return values


def _line(arm: Arm, metric: Metric, x: list[float], by_run: Floats, place: int) -> Series:
    scale = 100.0 if metric.unit == "fraction" else 1.0
    middle = median_of(by_run)
    known = ~np.isnan(middle)
    texts = [metric.format(value) for value in middle.tolist()]
    band = {}
    if len(by_run) > 1:
        low, high = np.full(len(x), np.nan), np.full(len(x), np.nan)
        low[known], high[known] = np.nanmin(by_run[:, known], axis=0), np.nanmax(by_run[:, known], axis=0)
        band = {"low": (low * scale).tolist(), "high": (high * scale).tolist()}
    return Series(
        arm.label, x, (middle * scale).tolist(), arm.colour, _DASHES[place % len(_DASHES)], texts=texts, **band
    )


def _counted(at: Floats, latency: Floats, span: tuple[float, float]) -> Cells:
    """How many requests there were at a time and a latency, on a log scale: a single slow one is visible."""
    low, high = max(float(latency.min()), 1e-3), max(float(latency.max()), 1e-3)
    x = np.linspace(span[0], max(span[1], span[0] + 1e-3), _CELLS[0] + 1)
    y = np.geomspace(low * (1 - 1e-9), max(high, low * 1.01) * (1 + 1e-9), _CELLS[1] + 1)
    if len(latency) > _SAMPLE:
        slowest = np.argpartition(latency, -_SLOWEST)[-_SLOWEST:]
        chosen = np.concatenate([np.arange(0, len(latency), len(latency) // _SAMPLE + 1), slowest])
        at, latency = at[chosen], latency[chosen]
    counts = counted_requests(at, np.maximum(latency, 1e-3), x, y)
    shares = np.log1p(counts) / np.log1p(max(1.0, counts.max()))
    return Cells(x.tolist(), y.tolist(), np.round(shares, 2).tolist(), NEUTRAL)


def _below(measured: Measurements, arms: Sequence[Arm], edges: Floats, x: list[float]) -> list[Pane]:
    found = []
    runs = [list(arm.data.runs["run"]) for arm in arms]
    for table, column, label, single in (
        ("load", "users", "Users", PURPLE),
        ("resources", "cpu_cores", "CPU, cores", BLUE),
    ):
        if not len(measured.tables.get(table, ())):
            continue
        lines = []
        both = zip(arms, median_by_process(measured, runs, table, column, edges), strict=True)
        for place, (arm, processes) in enumerate((arm, own) for arm, own in both if own):
            for rank, (process, values) in enumerate(processes[:_MAX_PROCESSES]):
                name = f"{arm.label} {process}".strip() if len(arms) > 1 else process
                colour = arm.colour if len(arms) > 1 or process else single
                # Slices may be shorter than the time between samples; those without one are no gap.
                known = np.flatnonzero(~np.isnan(values))
                texts = [format_value(column, v) for v in values[known].tolist()]
                dashes = _DASHES[rank] if process else _DASHES[place % len(_DASHES)]
                at = [x[i] for i in known.tolist()]
                lines.append(Series(name, at, values[known].tolist(), colour, dashes, texts=texts))
        if lines:
            found.append(Pane(label, lines, 58.0, write=format_short))
    return found
