"""Interactive runs: which runs, which endpoint, which slice of time.

Percentiles are exact, from every request: runs, endpoints and other texts become numbers once, and then selecting and
grouping a million requests takes less time than drawing. DuckDB would gain little: its own quantiles are type 7, and
type 8, as used in verdicts, takes it 1.5 times the CPU time of numpy (on two cores 30 ms of wall time against 39, in a
redraw of 130), after building a table that costs three times ours (bench/bench_explorers.py, on one and on five million
requests).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
import traitlets
from matplotlib.axes import Axes

from perflab.data.selection import latency_band, slowest_requests, summarize_errors, time_window
from perflab.data.tables import AGGREGATED, Measurements
from perflab.explorers.code import call, literal, method, name_of
from perflab.explorers.frame import Explorer, Panel, Selected, View, of_axes, view_buttons
from perflab.explorers.reduced import ROW, in_memory, latest_that_fit, with_categories, without_listed
from perflab.metrics import Metric, quantile
from perflab.notes import YOU, Kind, count
from perflab.plots.drawing import metric_of
from perflab.plots.heatmap import plot_heatmap
from perflab.plots.latency import plot_ecdf, plot_histogram
from perflab.plots.over_time import plot_resources, plot_timeline
from perflab.plots.svg_charts import Chart
from perflab.plots.timeline_chart import timeline_chart
from perflab.queries.summaries import summarize_queries
from perflab.stats.estimates import endpoints_of, summarize
from perflab.traces.accounts import account
from perflab.units import format_ms

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
METRICS = (
    ("latency percentile", ""), ("mean latency", "mean"), ("throughput", "throughput_per_s"),
    ("error rate", "error_fraction"),
)  # fmt: skip
VIEWS = ("Over time", "ECDF", "Histogram", "Heatmap", "Resources", "Errors", "Slowest requests", "Summary")
SELECTION = ("runs", "window")
_LISTED = 20
"""Requests of a selection that are listed, as many as `slowest_requests` lists."""
SELECT = Kind(
    "select-in-chart", YOU,
    "Drag over the chart to select a span of time, or a box of time and latency: its requests appear below. Keyboard: arrow "
    "keys move the pointer, with Shift they select, Enter applies, Escape clears",
)  # fmt: skip


class RunsState(traitlets.HasTraits):
    """The choices: names of runs, an endpoint, a metric and percentile, seconds since the start, and one of `VIEWS`.

    ``marked`` is what was selected in the chart: from and to in seconds, lowest and highest latency in ms (None: no limit); it
    is empty without a selection. ``zoomed`` says whether the chart shows only that part of the time.
    """

    runs = traitlets.Tuple()
    endpoint = traitlets.Unicode(AGGREGATED)
    metric = traitlets.Unicode("")
    percentile = traitlets.Float(95.0)
    window = traitlets.Tuple(traitlets.Float(), traitlets.Float())
    marked = traitlets.Tuple()
    zoomed = traitlets.Bool(False)
    view = traitlets.Unicode(VIEWS[0])


def explore_runs(measurements: Measurements, *, name: str | None = None) -> Explorer:
    """The runs explorer for measurements with raw requests.

    ``name`` is the name of the measurements in the displayed code; by default it is looked up in the notebook.
    """
    light = measurements if measurements.lazy else with_categories(measurements)
    names = tuple(str(run) for run in light.runs["run"])
    longest = max(1.0, float(light.runs["duration_ms"].max()) / 1e3)
    state = RunsState(runs=latest_that_fit(light) if light.lazy else names, window=(0.0, longest))
    control = _controls(light, names, state.runs, longest)
    selection = _Selection(light, name or name_of(measurements, "runs"), names, longest)
    rows = [["endpoint", "metric", "percentile"], ["runs", "window"], ["view", "zoomed"]]
    state.observe(lambda change: _zoom(state, longest), names="zoomed")
    return Explorer(f"Runs: {measurements.sentence}", state, control, _views(light, selection), rows=rows)


def _zoom(state: RunsState, longest: float) -> None:
    """Show the selected part of the time, or all of it."""
    if state.zoomed and state.marked:
        begin, end = state.marked[:2]
        state.window = (max(0.0, begin), min(longest, end))
    elif not state.zoomed:
        state.window = (0.0, longest)


def _select(state: RunsState, part: Selected | None) -> None:
    """Keep what was selected in the chart."""
    if part is None:
        state.marked = ()
        return
    low, high = part.values or (None, None)
    state.marked = (round(part.begin, 3), round(part.end, 3), _rounded(low), _rounded(high))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


class _Selection:
    """The selected runs and slice of time, and the code for them; the latest few are cached."""

    def __init__(self, light: Measurements, called: str, names: tuple[str, ...], longest: float) -> None:
        self._light, self._called, self._names, self.longest = light, called, names, longest
        self._held = lru_cache(maxsize=1)(self._loaded)
        self._thin = lru_cache(maxsize=1)(lambda *runs: without_listed(self._held(*runs)))
        self.part = lru_cache(maxsize=1 if light.lazy else 4)(self._selected)
        self._mark = lru_cache(maxsize=4)(self._marked)

    def of(self, now: RunsState) -> tuple[Measurements, str]:
        """The selected measurements and their code; ValueError if no run is chosen."""
        return self.part(tuple(now.runs), tuple(now.window))

    def marked(self, now: RunsState) -> tuple[Measurements, str]:
        """The requests selected in the chart without the columns that only lists show, and their code."""
        return self._mark(tuple(now.runs), tuple(now.marked))

    def slowest(self, now: RunsState, requests: pd.DataFrame, count: int) -> Measurements:
        """The slowest of requests that were selected in the chart (and those as slow), with all columns."""
        latency = requests["latency_ms"].to_numpy(dtype="float64")
        rows = requests[ROW].to_numpy()
        if len(rows) > count:
            rows = rows[latency >= np.partition(latency, -count)[-count]]
        held = self._held(*self._to_load(tuple(now.runs)))
        tables = {**held.tables, "requests": held.requests.take(rows)}
        return Measurements(MappingProxyType(tables), held.meta, ())

    def _to_load(self, runs: tuple[str, ...]) -> tuple[str, ...]:
        """The runs to be held in memory: of a lazily opened store those that are selected."""
        return runs if self._light.lazy else ()

    def _loaded(self, *runs: str) -> Measurements:
        return with_categories(in_memory(self._light.where(run=list(runs)))) if runs else self._light

    def _marked(self, runs: tuple[str, ...], part: tuple[Any, ...]) -> tuple[Measurements, str]:
        chosen, source = self._of_runs(self._thin(*self._to_load(runs)), runs)
        begin, end, low, high = part
        chosen = time_window(chosen, begin, end)
        source = f"lab.data.time_window({source}, {literal(begin)}, {literal(end)})"
        if low is not None:
            chosen = latency_band(chosen, low, high)
            source = f"lab.data.latency_band({source}, {literal(low)}, {literal(high)})"
        return chosen, source

    def _selected(self, runs: tuple[str, ...], window: tuple[float, float]) -> tuple[Measurements, str]:
        chosen, source = self._of_runs(self._held(*self._to_load(runs)), runs)
        begin, end = window
        if begin > 0 or end < self.longest:
            chosen = time_window(chosen, begin, end)
            source = f"lab.data.time_window({source}, {literal(begin)}, {literal(end)})"
        return chosen, source

    def _of_runs(self, measured: Measurements, runs: tuple[str, ...]) -> tuple[Measurements, str]:
        if not runs:
            raise ValueError("Choose one run or more.")
        if set(runs) == set(self._names):
            return measured, self._called
        return measured.where(run=list(runs)), method(self._called, f"where(run={list(runs)!r})")


def _controls(
    light: Measurements, names: tuple[str, ...], shown: tuple[str, ...], longest: float
) -> dict[str, widgets.Widget]:
    found = endpoints_of(light) if light.lazy else light.requests["endpoint"].cat.categories
    endpoints = [AGGREGATED, *sorted(found)]
    arms = light.runs["arm"].fillna("")
    labels = [f"{run} ({arm})" if arm and arm not in run else run for run, arm in zip(names, arms, strict=True)]
    return {
        "endpoint": widgets.Dropdown(options=endpoints, description="Endpoint"),
        "metric": widgets.Dropdown(options=METRICS, description="Metric", tooltip="What is drawn over time"),
        "percentile": percentile_slider(),
        "runs": widgets.SelectMultiple(
            options=list(zip(labels, names, strict=True)), value=shown, description="Runs",
            rows=min(6, max(3, len(names))), layout=widgets.Layout(width="30em"),
        ),
        "window": widgets.FloatRangeSlider(
            value=(0.0, longest), min=0.0, max=longest, step=max(longest / 200, 0.01), description="Time, s",
            continuous_update=False, readout_format=".1f", layout=widgets.Layout(width="30em"),
        ),
        "view": view_buttons(VIEWS),
        "zoomed": widgets.ToggleButton(
            description="Zoom to selection", icon="search-plus", tooltip="Show only the selected part of the time",
            layout=widgets.Layout(width="auto"),
        ),
    }  # fmt: skip


def percentile_slider() -> widgets.SelectionSlider:
    """A slider from p50 to p99.9."""
    return widgets.SelectionSlider(
        options=[(f"p{p:g}", p) for p in PERCENTILES], value=95.0, description="Percentile", continuous_update=False
    )


def _views(light: Measurements, selection: _Selection) -> Mapping[str, tuple[Panel, ...]]:
    one = (*SELECTION, "endpoint", "percentile")
    listing = (*SELECTION, "endpoint")

    def panel(plot: Callable[..., Axes], needs: tuple[str, ...] = one) -> Panel:
        return Panel(_plotted(plot, selection, needs), needs)

    return {
        "Over time": _over_time(light, selection),
        "ECDF": (panel(plot_ecdf),),
        "Histogram": (panel(plot_histogram),),
        "Heatmap": (Panel(_one_arm(selection), one),),
        "Resources": (panel(plot_resources, SELECTION),),
        "Errors": (Panel(_listed(summarize_errors, selection, "Failed requests: {} kinds"), listing),),
        "Slowest requests": (Panel(_listed(slowest_requests, selection, "The {} slowest requests"), listing),),
        "Summary": (Panel(_summary(selection), listing),),
    }


def _over_time(light: Measurements, selection: _Selection) -> tuple[Panel, ...]:
    """The chart, and what was selected in it: its requests, their statements and their account."""

    @lru_cache(maxsize=4)
    def unmarked(runs: tuple[str, ...], window: tuple[float, float], endpoint: str, metric: str, share: float) -> Chart:
        kind = Metric.of(metric) if metric else metric_of(share)[0]
        return timeline_chart(selection.part(runs, window)[0], endpoint=endpoint, metric=kind, span=window)

    def chart(now: RunsState) -> View:
        chosen, source = selection.of(now)
        takes: dict[str, Any] = {"metric": now.metric} if now.metric else {"percentile": now.percentile}
        marked = tuple(now.marked)
        begin, end, low, high = marked or (0.0, 0.0, None, None)
        area = (begin, end, low or 0.0, math.inf if high is None else high) if marked else None
        drawn = unmarked(tuple(now.runs), tuple(now.window), now.endpoint, now.metric, now.percentile)
        drawn = replace(drawn, selected=area)
        code = call("plot_timeline", source, endpoint=now.endpoint, **takes)
        how = () if marked else (SELECT(),)
        return View(
            code,
            drawn.title,
            chart=drawn,
            notes=how,
            plot=lambda: plot_timeline(chosen, endpoint=now.endpoint, **takes),
        )

    panels = [Panel(chart, (*SELECTION, "endpoint", "percentile", "metric", "marked", "zoomed"), _select)]
    part = ("runs", "endpoint", "marked")
    panels.append(Panel(_marked_requests(selection), part))
    if "queries" in light.tables and light.length("queries"):
        panels.append(Panel(_marked_statements(selection), part))
    if "components" in light.tables and light.length("components"):
        panels.append(Panel(_marked_account(selection), (*part, "percentile")))
    return tuple(panels)


def _marked_requests(selection: _Selection) -> Callable[[RunsState], View]:
    def view(now: RunsState) -> View:
        if not now.marked:
            return View()
        chosen, source = selection.marked(now)
        takes = {"queries": "part.queries"} if _joined(chosen) else {}
        requests = chosen.requests
        own = requests if now.endpoint == AGGREGATED else requests[requests["endpoint"] == now.endpoint]
        slowest = selection.slowest(now, own, _LISTED)
        table = slowest_requests(slowest, count=_LISTED, queries=chosen.queries if takes else None)
        said = f"{count(len(own), 'request')} in {_part(now)}"
        if len(own):
            failed = int((~own["ok"].to_numpy(dtype=bool)).sum())
            median, high = quantile(own["latency_ms"].to_numpy(dtype="float64"), [0.5, 0.95])
            said += f": p50 {format_ms(median)}, p95 {format_ms(high)}, {failed:,} failed; the slowest of them"
        more = "".join(f", {name}={value}" for name, value in takes.items())
        code = f"part = {source}\nlab.data.slowest_requests(part, {now.endpoint!r}{more})"
        return View(code, said, table=table if len(table) else None)

    return view


def _joined(part: Measurements) -> bool:
    """Whether statements can be joined to requests."""
    queries = part.tables.get("queries")
    return queries is not None and "request" in queries.columns and "request" in part.requests.columns


def _part(now: RunsState) -> str:
    begin, end, low, high = now.marked
    band = "" if low is None else f" with {format_ms(low)} to {format_ms(high)}"
    return f"{begin:.4g} to {end:.4g} s{band}"


def _marked_statements(selection: _Selection) -> Callable[[RunsState], View]:
    def view(now: RunsState) -> View:
        if not now.marked:
            return View()
        chosen, source = selection.marked(now)
        code = f"part = {source}\nlab.summarize_queries(part.queries)"
        if not len(chosen.queries):
            return View(code, "No statement was recorded in this part of the runs")
        said = "Their statements" if _joined(chosen) else "Statements in this part of the time, of all requests"
        return View(code, said, table=pd.DataFrame(summarize_queries(chosen.queries)))

    return view


def _marked_account(selection: _Selection) -> Callable[[RunsState], View]:
    def view(now: RunsState) -> View:
        if not now.marked:
            return View()
        chosen, source = selection.marked(now)
        names = list(chosen.runs["arm"].dropna().unique())
        if len(names) > 1:
            chosen, source = chosen.where(arm=names[0]), method(source, f"where(arm={names[0]!r})")
        takes: dict[str, Any] = {"endpoint": now.endpoint, "metric": "mean", "warmup": 0}
        code = f"part = {source}\n{call('account', 'part', **takes)}"
        return View.of(account(chosen, **takes), code)

    return view


def _plotted(plot: Callable[..., Axes], selection: _Selection, needs: tuple[str, ...]) -> Callable[[RunsState], View]:
    def view(now: RunsState) -> View:
        chosen, source = selection.of(now)
        takes = {trait: getattr(now, trait) for trait in needs if trait not in SELECTION}
        return View(call(plot.__name__, source, **takes), figure=of_axes(plot(chosen, **takes)))

    return view


def _listed(function: Callable[..., pd.DataFrame], selection: _Selection, sentence: str) -> Callable[[RunsState], View]:
    def view(now: RunsState) -> View:
        chosen, source = selection.of(now)
        table = function(chosen, now.endpoint)
        said = sentence.format(len(table)) if len(table) else "None in this part of the runs"
        return View(call(function.__name__, source, repr(now.endpoint)), said, table=table)

    return view


def _summary(selection: _Selection) -> Callable[[RunsState], View]:
    def view(now: RunsState) -> View:
        chosen, source = selection.of(now)
        table = summarize(chosen)
        table = table[table["endpoint"] == now.endpoint].reset_index(drop=True)
        code = f'{call("summarize", source)}.loc[lambda table: table["endpoint"] == {now.endpoint!r}]'
        return View(code, f"Each run: {now.endpoint}", table=table)

    return view


def _one_arm(selection: _Selection) -> Callable[[RunsState], View]:
    """The heatmap of the first selected arm: it can show only one."""

    def first(now: RunsState) -> View:
        chosen, source = selection.of(now)
        arms = chosen.runs["arm"].dropna().unique()
        said = ""
        if len(arms) > 1:
            chosen, source = chosen.where(arm=arms[0]), method(source, f"where(arm={arms[0]!r})")
            said = f"Arm {arms[0]}; choose the runs of another arm to see it"
        takes: dict[str, Any] = {"endpoint": now.endpoint, "percentile": now.percentile}
        shown = View(call("plot_heatmap", source, **takes), figure=of_axes(plot_heatmap(chosen, **takes)))
        return replace(shown, sentence=said)

    return first
