"""Runs turned over by hand: which runs, which endpoint, which slice of time; six ways to look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import ipywidgets as widgets
import pandas as pd
import traitlets

from perflab.explorers.frame import Explorer, View, linked, literal, name_of, of_axes
from perflab.plots.heatmap import plot_heatmap
from perflab.plots.latency import plot_ecdf, plot_histogram
from perflab.plots.over_time import plot_resources, plot_timeline
from perflab.selection import slowest_requests, summarize_errors, time_window
from perflab.tables import AGGREGATED, Measurements

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
VIEWS = ("Over time", "ECDF", "Histogram", "Heatmap", "Resources", "Errors", "Slowest requests")


class RunsState(traitlets.HasTraits):
    """The choices: names of runs, an endpoint, a percentile, seconds since the start, and one of `VIEWS`."""

    runs = traitlets.Tuple()
    endpoint = traitlets.Unicode(AGGREGATED)
    percentile = traitlets.Float(95.0)
    window = traitlets.Tuple(traitlets.Float(), traitlets.Float())
    view = traitlets.Unicode(VIEWS[0])


def explore_runs(measurements: Measurements, *, name: str | None = None) -> Explorer:
    """The runs explorer for measurements with raw requests.

    ``name`` is what the measurements are called in the code that is shown; found in the notebook if not given.
    """
    called = name or name_of(measurements, "runs")
    light = _light(measurements)
    names = [str(run) for run in light.runs["run"]]
    longest = max(1.0, float(light.runs["duration_ms"].max()) / 1e3)
    state = RunsState(runs=tuple(names), window=(0.0, longest))
    control = _controls(light, names, longest)
    linked(state, control)
    views = _views()

    def draw(now: RunsState) -> View:
        if not now.runs:
            return View("", "Choose one run or more.")
        chosen, source = light, called
        if set(now.runs) != set(names):
            chosen, source = chosen.where(run=list(now.runs)), f"{source}.where(run={list(now.runs)!r})"
        begin, end = now.window
        if begin > 0 or end < longest:
            chosen = time_window(chosen, begin, end)
            source = f"lab.time_window({source}, {literal(begin)}, {literal(end)})"
        return views[now.view](chosen, source, now)

    top = widgets.HBox([control["endpoint"], control["percentile"], control["window"]])
    sides = widgets.HBox([control["runs"], control["view"]])
    return Explorer(f"Runs: {measurements.sentence}", state, [top, sides], draw)


def _controls(light: Measurements, names: list[str], longest: float) -> dict[str, widgets.Widget]:
    endpoints = [AGGREGATED, *sorted(light.requests["endpoint"].cat.categories)]
    arms = light.runs["arm"].fillna("")
    labels = [f"{run} ({arm})" if arm and arm not in run else run for run, arm in zip(names, arms, strict=True)]
    return {
        "endpoint": widgets.Dropdown(options=endpoints, description="Endpoint"),
        "percentile": widgets.SelectionSlider(
            options=[(f"p{p:g}", p) for p in PERCENTILES], value=95.0, description="Percentile", continuous_update=False
        ),
        "window": widgets.FloatRangeSlider(
            value=(0.0, longest), min=0.0, max=longest, step=max(longest / 200, 0.01), description="Time, s",
            continuous_update=False, readout_format=".1f", layout=widgets.Layout(width="26em"),
        ),
        "runs": widgets.SelectMultiple(
            options=list(zip(labels, names, strict=True)), value=tuple(names), description="Runs",
            rows=min(6, max(3, len(names))), layout=widgets.Layout(width="26em"),
        ),
        "view": widgets.ToggleButtons(options=VIEWS, description="View"),
    }  # fmt: skip


def _views() -> dict[str, Callable[[Measurements, str, RunsState], View]]:
    def plotted(plot: Callable[..., object], **fixed: str) -> Callable[[Measurements, str, RunsState], View]:
        def view(chosen: Measurements, source: str, now: RunsState) -> View:
            takes = {"endpoint": now.endpoint, "percentile": now.percentile} if not fixed else {}
            written = "".join(f", {k}={literal(v)}" for k, v in takes.items())
            ax = plot(chosen, **takes)
            return View(f"lab.{plot.__name__}({source}{written})", figure=of_axes(ax))  # type: ignore[arg-type]

        return view

    def listed(function: Callable[..., pd.DataFrame], sentence: str) -> Callable[[Measurements, str, RunsState], View]:
        def view(chosen: Measurements, source: str, now: RunsState) -> View:
            table = function(chosen, now.endpoint)
            said = sentence.format(count=len(table)) if len(table) else "None in this part of the runs."
            return View(f"lab.{function.__name__}({source}, {now.endpoint!r})", said, table=table)

        return view

    return {
        "Over time": plotted(plot_timeline),
        "ECDF": plotted(plot_ecdf),
        "Histogram": plotted(plot_histogram),
        "Heatmap": _one_arm(plotted(plot_heatmap)),
        "Resources": plotted(plot_resources, without="endpoint"),
        "Errors": listed(summarize_errors, "Failed requests: {count} kinds."),
        "Slowest requests": listed(slowest_requests, "The {count} slowest requests."),
    }


def _one_arm(view: Callable[[Measurements, str, RunsState], View]) -> Callable[[Measurements, str, RunsState], View]:
    """The view of the first arm among the runs, for a picture that can hold one only."""

    def first(chosen: Measurements, source: str, now: RunsState) -> View:
        arms = chosen.runs["arm"].dropna().unique()
        if len(arms) < 2:
            return view(chosen, source, now)
        shown = view(chosen.where(arm=arms[0]), f"{source}.where(arm={arms[0]!r})", now)
        return replace(shown, sentence=f"Arm {arms[0]}; choose the runs of another arm to see that one.")

    return first


def _light(measurements: Measurements) -> Measurements:
    """The same rows with runs and endpoints as categories, so that choosing among a million takes milliseconds."""
    requests = measurements.requests
    light = requests.assign(run=requests["run"].astype("category"), endpoint=requests["endpoint"].astype("category"))
    return Measurements(
        MappingProxyType({**measurements.tables, "requests": light}), measurements.meta, measurements.warnings
    )
