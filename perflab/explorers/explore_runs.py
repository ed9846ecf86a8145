"""Interactive runs: which runs, which endpoint, which slice of time.

Percentiles are exact, from every request: runs, endpoints and other texts become numbers once, and then selecting and
grouping a million requests takes less time than drawing. DuckDB would gain little: its own quantiles are type 7, and
type 8, as used in verdicts, takes it 1.5 times the CPU time of numpy (on two cores 30 ms of wall time against 39, in a
redraw of 130), after building a table that costs three times ours (bench/bench_explorers.py, on one and on five million
requests).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import pandas as pd
import traitlets
from matplotlib.axes import Axes

from perflab.data.selection import slowest_requests, summarize_errors, time_window
from perflab.data.tables import AGGREGATED, Measurements
from perflab.explorers.code import call, literal, method, name_of
from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.explorers.reduced import with_categories
from perflab.plots.drawing import axes
from perflab.plots.heatmap import plot_heatmap
from perflab.plots.latency import plot_ecdf, plot_histogram
from perflab.plots.over_time import plot_resources, plot_timeline, plot_users
from perflab.stats.estimates import summarize

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
METRICS = (
    ("latency percentile", ""), ("mean latency", "mean"), ("throughput", "throughput_per_s"),
    ("error rate", "error_fraction"),
)  # fmt: skip
VIEWS = ("Over time", "ECDF", "Histogram", "Heatmap", "Resources", "Errors", "Slowest requests", "Summary")
SELECTION = ("runs", "window")


class RunsState(traitlets.HasTraits):
    """The choices: names of runs, an endpoint, a metric and percentile, seconds since the start, and one of `VIEWS`."""

    runs = traitlets.Tuple()
    endpoint = traitlets.Unicode(AGGREGATED)
    metric = traitlets.Unicode("")
    percentile = traitlets.Float(95.0)
    window = traitlets.Tuple(traitlets.Float(), traitlets.Float())
    view = traitlets.Unicode(VIEWS[0])


def explore_runs(measurements: Measurements, *, name: str | None = None) -> Explorer:
    """The runs explorer for measurements with raw requests.

    ``name`` is the name of the measurements in the displayed code; by default it is looked up in the notebook.
    """
    light = with_categories(measurements)
    names = tuple(str(run) for run in light.runs["run"])
    longest = max(1.0, float(light.runs["duration_ms"].max()) / 1e3)
    state = RunsState(runs=names, window=(0.0, longest))
    control = _controls(light, names, longest)
    selection = _Selection(light, name or name_of(measurements, "runs"), names, longest)
    rows = [["endpoint", "metric", "percentile"], ["runs", "window"], ["view"]]
    return Explorer(f"Runs: {measurements.sentence}", state, control, _views(light, selection), rows=rows)


class _Selection:
    """The selected runs and slice of time, and the code for them; the latest few are cached."""

    def __init__(self, light: Measurements, called: str, names: tuple[str, ...], longest: float) -> None:
        self._light, self._called, self._names, self.longest = light, called, names, longest
        self._select = lru_cache(maxsize=4)(self._selected)

    def of(self, now: RunsState) -> tuple[Measurements, str]:
        """The selected measurements and their code; ValueError if no run is chosen."""
        return self._select(tuple(now.runs), tuple(now.window))

    def _selected(self, runs: tuple[str, ...], window: tuple[float, float]) -> tuple[Measurements, str]:
        if not runs:
            raise ValueError("Choose one run or more.")
        chosen, source = self._light, self._called
        if set(runs) != set(self._names):
            chosen, source = chosen.where(run=list(runs)), method(source, f"where(run={list(runs)!r})")
        begin, end = window
        if begin > 0 or end < self.longest:
            chosen = time_window(chosen, begin, end)
            source = f"lab.data.time_window({source}, {literal(begin)}, {literal(end)})"
        return chosen, source


def _controls(light: Measurements, names: tuple[str, ...], longest: float) -> dict[str, widgets.Widget]:
    endpoints = [AGGREGATED, *sorted(light.requests["endpoint"].cat.categories)]
    arms = light.runs["arm"].fillna("")
    labels = [f"{run} ({arm})" if arm and arm not in run else run for run, arm in zip(names, arms, strict=True)]
    return {
        "endpoint": widgets.Dropdown(options=endpoints, description="Endpoint"),
        "metric": widgets.Dropdown(options=METRICS, description="Metric", tooltip="What is drawn over time"),
        "percentile": percentile_slider(),
        "runs": widgets.SelectMultiple(
            options=list(zip(labels, names, strict=True)), value=names, description="Runs",
            rows=min(6, max(3, len(names))), layout=widgets.Layout(width="30em"),
        ),
        "window": widgets.FloatRangeSlider(
            value=(0.0, longest), min=0.0, max=longest, step=max(longest / 200, 0.01), description="Time, s",
            continuous_update=False, readout_format=".1f", layout=widgets.Layout(width="30em"),
        ),
        "view": view_buttons(VIEWS),
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
    """Latency, users and CPU stacked on one time axis: three figures, so that one can change alone."""

    def upper(now: RunsState) -> View:
        chosen, source = selection.of(now)
        takes = {"metric": now.metric} if now.metric else {"percentile": now.percentile}
        ax = _on_axis(plot_timeline, chosen, now, 4.2, endpoint=now.endpoint, **takes)
        return View(call("plot_timeline", source, endpoint=now.endpoint, **takes), figure=of_axes(ax))

    def users(now: RunsState) -> View:
        return View(figure=of_axes(_on_axis(plot_users, selection.of(now)[0], now, 1.9)))

    def cpu(now: RunsState) -> View:
        chosen = selection.of(now)[0]
        return View(figure=of_axes(_on_axis(plot_resources, chosen, now, 2.4, quantities=("cpu_cores",))))

    panels = [Panel(upper, (*SELECTION, "endpoint", "percentile", "metric"))]
    panels += [Panel(users, SELECTION)] if len(light.tables.get("load", ())) else []
    panels += [Panel(cpu, SELECTION)] if len(light.tables.get("resources", ())) else []
    return tuple(panels)


def _on_axis(plot: Callable[..., Axes], chosen: Measurements, now: RunsState, height: float, **takes: Any) -> Axes:
    """The plot on new Axes with the chosen slice of time, so that stacked figures align."""
    begin, end = now.window
    ax = plot(chosen, ax=axes(None, height=height), **takes)
    ax.set_xlim(begin - 0.01 * (end - begin), end + 0.01 * (end - begin))
    return ax


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
