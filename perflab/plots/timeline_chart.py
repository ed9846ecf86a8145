"""Requests, users and CPU over time as a chart to point at: what `plot_timeline` draws, with the same values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.metrics import Metric
from perflab.plots.drawing import (
    Arm,
    Floats,
    arms_of,
    finding,
    requests_of,
    seconds_since_start,
    typical,
    usual_warmup,
)
from perflab.plots.heatmap import counted_requests
from perflab.plots.over_time import enough, in_slices, median_by_process, slices
from perflab.plots.palette import BLUE, NEUTRAL, PURPLE
from perflab.plots.svg_charts import Cells, Chart, Pane, Series
from perflab.units import format_short, format_value

_DASHES = ("", "6 3", "2 2", "7 3 2 3", "1 3", "9 4", "3 3")
_CELLS = (60, 24)
_MAX_PROCESSES = 3


def timeline_chart(
    measurements: Measurements,
    *,
    endpoint: str,
    metric: Metric,
    span: tuple[float, float],
    marked: tuple[float, float, float, float] | None = None,
) -> Chart:
    """The metric by arm over the time since each run's start, with users and CPU below it if recorded.

    A line is the median of the arm's runs in a slice of time, the band their range; grey cells count the requests.
    """
    arms = arms_of([measurements])
    requests = [requests_of(arm, endpoint) for arm in arms]
    seconds = [seconds_since_start(r, "start", arm.data.runs) for arm, r in zip(arms, requests, strict=True)]
    edges = slices(seconds, [arm.runs for arm in arms], enough(metric.share))
    middle = (edges[:-1] + np.diff(edges) / 2).tolist()
    lines = []
    for place, (arm, frame, at) in enumerate(zip(arms, requests, seconds, strict=True)):
        by_run = in_slices(frame, at, edges, metric)
        lines.append(_line(arm, metric, middle, by_run, place))
    cells = None
    if metric.is_latency:
        latencies = [np.maximum(frame["latency_ms"].to_numpy(), 1e-3) for frame in requests]
        cells = _counted(seconds, latencies, span)
    label = f"{metric.axis_label} (log scale)" if metric.is_latency else metric.axis_label
    panes = [Pane(label, lines, 190.0, log=metric.is_latency, banded=metric.is_latency, cells=cells)]
    if rate := _throughput(arms, requests, seconds, edges, middle, metric):
        panes.append(Pane("Throughput, /s", rate))
    panes += _below(arms, edges, middle)
    warmup = usual_warmup(arms, None)
    title = finding(metric, endpoint, arms, [typical(arm, metric, endpoint, warmup) for arm in arms])
    return Chart(title, panes, span, "Time since the run's start, s", marked)


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


def _counted(seconds: Sequence[Floats], latencies: Sequence[Floats], span: tuple[float, float]) -> Cells:
    """How many requests there were at a time and a latency, on a log scale: a single slow one is visible."""
    at, latency = np.concatenate(seconds), np.concatenate(latencies)
    low, high = float(latency.min()), float(latency.max())
    x = np.linspace(span[0], max(span[1], span[0] + 1e-3), _CELLS[0] + 1)
    y = np.geomspace(low * (1 - 1e-9), max(high, low * 1.01) * (1 + 1e-9), _CELLS[1] + 1)
    counts = counted_requests(at, latency, x, y)
    shares = np.log1p(counts) / np.log1p(max(1.0, counts.max()))
    return Cells(x.tolist(), y.tolist(), np.round(shares, 2).tolist(), NEUTRAL)


def _throughput(
    arms: Sequence[Arm],
    requests: Sequence[pd.DataFrame],
    seconds: Sequence[Floats],
    edges: Floats,
    x: list[float],
    metric: Metric,
) -> list[Series]:
    rate = Metric.of("throughput_per_s")
    if metric.kind == rate.kind:
        return []
    return [
        _line(arm, rate, x, in_slices(frame, at, edges, rate), place)
        for place, (arm, frame, at) in enumerate(zip(arms, requests, seconds, strict=True))
    ]


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
