"""Traces: one of them as a waterfall, the critical paths of all, calls in a row, and what overlapping them would give."""

from __future__ import annotations

from functools import lru_cache

import ipywidgets as widgets
import pandas as pd
import traitlets

from perflab.explorers.code import call
from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.plots.trace_plots import plot_trace
from perflab.results import Findings
from perflab.traces.calls_in_a_row import find_sequential
from perflab.traces.critical_path import critical_path
from perflab.traces.one_trace import traces_of
from perflab.traces.what_if import what_if
from perflab.units import format_ms

VIEWS = ("Waterfall", "Critical path", "Calls in a row", "What if")
_LISTED = 20


class TracesState(traitlets.HasTraits):
    """The choices: a route, one of its traces, a group of calls in a row (its place), and one of `VIEWS`."""

    route = traitlets.Unicode()
    trace = traitlets.Unicode()
    group = traitlets.Int(0)
    view = traitlets.Unicode(VIEWS[0])


def explore_traces(spans: pd.DataFrame, name: str) -> Explorer:
    """The explorer of a spans table that ``name`` stands for in the notebook."""
    roots = traces_of(spans)
    total = roots.groupby("route")["duration_ms"].sum().sort_values(ascending=False, kind="stable")
    routes = [str(route) for route in total.index]
    groups = lru_cache(maxsize=1)(lambda: find_sequential(spans))
    paths = lru_cache(maxsize=2)(lambda: critical_path(spans))
    state = TracesState(route=routes[0], trace=_typical(roots, routes[0]))
    trace = widgets.Dropdown(options=_traces(roots, routes[0]), value=state.trace, description="Trace")
    controls = {
        "route": widgets.Dropdown(options=routes, value=routes[0], description="Route"),
        "trace": trace,
        "group": widgets.Dropdown(options=[("", 0)], value=0, description="Calls"),
        "view": view_buttons(VIEWS),
    }

    def follow(change: dict[str, str]) -> None:
        # The traces of another route.
        trace.options = _traces(roots, change["new"])
        trace.value = _typical(roots, change["new"])

    def list_groups(change: dict[str, str]) -> None:
        # Finding them takes time, so only when they are asked for.
        if change["new"] == "What if" and len(groups()):
            rows = zip(groups()["calls"], groups()["evidence"], strict=True)
            controls["group"].options = [(f"{c[:70]} ({e})", place) for place, (c, e) in enumerate(rows)]

    state.observe(follow, names="route")
    state.observe(list_groups, names="view")

    def waterfall(now: TracesState) -> View:
        code = call("plot_trace", name, repr(now.trace))
        return View(code, figure=of_axes(plot_trace(spans, now.trace)))

    def path(now: TracesState) -> View:
        code = call("critical_path", name)
        own = paths()[paths()["route"] == now.route].head(_LISTED)
        return View(
            f"paths = {code}\npaths[paths['route'] == {now.route!r}].head({_LISTED})",
            paths().attrs["sentence"],
            table=own,
        )

    def in_a_row(now: TracesState) -> View:
        return View.of(_WithTable(groups()), call("find_sequential", name))

    def predicted(now: TracesState) -> View:
        if not len(groups()):
            return View(call("find_sequential", name), groups().attrs["sentence"])
        operations = groups()["operations"].iloc[now.group]
        code = call("what_if", name, f"parallel={list(operations)!r}")
        return View.of(_WithTable(what_if(spans, parallel=operations)), code)

    views = {
        "Waterfall": (Panel(waterfall, ("route", "trace")),),
        "Critical path": (Panel(path, ("route",)),),
        "Calls in a row": (Panel(in_a_row, ()),),
        "What if": (Panel(predicted, ("group",)),),
    }
    return Explorer("Traces", state, controls, views, rows=[["route", "trace", "group"], ["view"]])


class _WithTable:
    """Findings as a result that has its table next to what it shows."""

    def __init__(self, found: Findings) -> None:
        self.show, self.table = found.show, pd.DataFrame(found)


def _traces(roots: pd.DataFrame, route: str) -> list[tuple[str, str]]:
    """The typical trace of a route, then its slowest ones, with their times."""
    own = roots[roots["route"] == route]
    typical = own[own["trace"] == _typical(roots, route)].head(1)
    chosen = pd.concat([typical, own.head(_LISTED)]).drop_duplicates("trace")
    return [
        (f"{trace[:24]}, {format_ms(took)}", trace)
        for trace, took in zip(chosen["trace"], chosen["duration_ms"], strict=True)
    ]


def _typical(roots: pd.DataFrame, route: str) -> str:
    own = roots[roots["route"] == route]
    return str(own["trace"].iloc[len(own) // 2])
