"""Requests, users and CPU over time as a chart to point at: what `plot_timeline` draws, with the same values."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from perflab.data.selection import without_recorded
from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Metric
from perflab.plots.drawing import (
    Arm,
    Floats,
    arms_of,
    finding,
    grouping_order,
    seconds_since_start,
    typical,
    usual_warmup,
)
from perflab.plots.heatmap import counted_requests
from perflab.plots.over_time import edges_of, enough, in_slices, median_by_process
from perflab.plots.palette import BLUE, NEUTRAL, PURPLE
from perflab.plots.svg_charts import Cells, Chart, Pane, Series
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
    tables = {name: table for name, table in measured.tables.items() if name in ("runs", "load", "resources")}
    arms = arms_of([Measurements(MappingProxyType(tables), measured.meta, ())])
    requests = measured.requests
    if endpoint != AGGREGATED:
        requests = requests[requests["endpoint"] == endpoint]
    at = seconds_since_start(requests, "start", measured.runs)
    # All runs at once: a million rows are not copied for each arm.
    codes, names = pd.factorize(requests["run"])
    place = {str(run): code for code, run in enumerate(names)}
    rows = [[place[run] for run in map(str, arm.data.runs["run"]) if run in place] for arm in arms]
    for arm, own in zip(arms, rows, strict=True):
        if not own:
            raise ValueError(f"arm {arm.label!r} has no request to {endpoint!r}")
    counts = np.bincount(codes)
    per_run = min(int(counts[own].sum()) / arm.runs for arm, own in zip(arms, rows, strict=True))
    edges = edges_of(float(at.min()), float(at.max()), per_run, enough(metric.share))
    middle = (edges[:-1] + np.diff(edges) / 2).tolist()
    rate = Metric.of("throughput_per_s")
    by_run, paces = in_slices(requests, codes, at, edges, [metric, rate])
    lines = [_line(arm, metric, middle, by_run[own], n) for n, (arm, own) in enumerate(zip(arms, rows, strict=True))]
    cells = _counted(at, requests["latency_ms"].to_numpy(), span) if metric.is_latency else None
    label = f"{metric.axis_label} (log scale)" if metric.is_latency else metric.axis_label
    panes = [Pane(label, lines, 190.0, log=metric.is_latency, banded=metric.is_latency, cells=cells)]
    if metric.kind != rate.kind:
        pace = [_line(arm, rate, middle, paces[own], n) for n, (arm, own) in enumerate(zip(arms, rows, strict=True))]
        panes.append(Pane("Throughput, /s", pace))
    panes += _below(arms, edges, middle)
    values = _typical(measured, arms, metric, endpoint)
    return Chart(finding(metric, endpoint, arms, values), panes, span, "Time since the run's start, s")


def _typical(measured: Measurements, arms: Sequence[Arm], metric: Metric, endpoint: str) -> list[float]:
    """The value of each arm, as `compare` computes it; of a latency without what only other metrics need."""
    warmup = usual_warmup(arms, None)
    if not metric.is_latency:
        whole = [Arm(a.label, measured.where(run=list(a.data.runs["run"])), a.colour, a.dashes, a.marker) for a in arms]
        return [typical(arm, metric, endpoint, warmup) for arm in whole]
    found = coded(
        Measurements(MappingProxyType({"runs": measured.runs, "requests": measured.requests}), measured.meta, ())
    )
    kept = found.age >= parse_fraction(warmup, parameter="warmup")
    if endpoint != AGGREGATED:
        kept &= found.endpoint == found.endpoints.index(endpoint)
    run, latency = found.run[kept], found.latency[kept]
    if (np.diff(run) < 0).any():
        latency = latency[grouping_order(run, len(found.runs))]
    ends = np.cumsum(np.bincount(run, minlength=len(found.runs)))[:-1]
    values = {name: metric.reduce(own) for name, own in zip(found.runs, np.split(latency, ends), strict=True)}
    return [
        metric.typical(np.array([values.get(str(name), np.nan) for name in arm.data.runs["run"]], dtype="float64"))
        for arm in arms
    ]


def _line(arm: Arm, metric: Metric, x: list[float], by_run: Floats, place: int) -> Series:
    scale = 100.0 if metric.unit == "fraction" else 1.0
    known = ~np.isnan(by_run).all(axis=0)
    middle, low, high = (np.full(len(x), np.nan) for _ in range(3))
    middle[known] = np.nanmedian(by_run[:, known], axis=0)
    texts = [metric.format(value) for value in middle.tolist()]
    band = {}
    if len(by_run) > 1:
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


def _below(arms: Sequence[Arm], edges: Floats, x: list[float]) -> list[Pane]:
    found = []
    for table, column, label, single in (
        ("load", "users", "Users", PURPLE),
        ("resources", "cpu_cores", "CPU, cores", BLUE),
    ):
        lines = []
        for place, arm in enumerate(a for a in arms if len(a.data.tables.get(table, ()))):
            for rank, (process, values) in enumerate(median_by_process(arm, table, column, edges)):
                if rank >= _MAX_PROCESSES:
                    break
                name = f"{arm.label} {process}".strip() if len(arms) > 1 else process
                colour = arm.colour if len(arms) > 1 or process else single
                texts = [format_value(column, v) for v in values.tolist()]
                dashes = _DASHES[rank] if process else _DASHES[place % len(_DASHES)]
                lines.append(Series(name, x, values.tolist(), colour, dashes, texts=texts))
        if lines:
            found.append(Pane(label, lines, 58.0, write=format_short))
    return found
