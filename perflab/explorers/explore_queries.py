"""An interactive query log: which patterns cost most, one of them in detail, and how to fix it.

Statements are shown as fingerprints only: literals can be personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import pandas as pd
import traitlets

from perflab.explorers.code import call
from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.plots.query_plots import draw_scaling, plot_waterfall
from perflab.queries.claims import LEVELS
from perflab.queries.clocks import clock_of
from perflab.queries.layout import laid_out
from perflab.queries.n_plus_one import FOR_PEOPLE, findings_of
from perflab.queries.patterns import found_by, searched
from perflab.queries.summaries import summarize_queries
from perflab.units import format_fraction, format_ms, format_number

ALL_ROUTES = "(all routes)"
VIEWS = ("Patterns", "Unit of work", "Calls against rows", "Fix", "Statements")
FILTER = ("route", "evidence")
_MOST_UNITS = 50


class QueriesState(traitlets.HasTraits):
    """The choices: a route, levels of evidence, the number of a pattern among those that match, a unit of work, and a view."""

    route = traitlets.Unicode(ALL_ROUTES)
    evidence = traitlets.Tuple()
    pattern = traitlets.Int(0)
    unit = traitlets.Unicode("")
    view = traitlets.Unicode(VIEWS[0])


def explore_queries(queries: pd.DataFrame, source: str) -> Explorer:
    """The queries explorer; ``source`` is the code for the queries table."""
    log = _Log(queries, source)
    state = QueriesState(evidence=tuple(log.levels))
    control = _controls(log)
    _fill(log, state, control["pattern"])
    _fill_units(log, state, control["unit"])
    state.observe(lambda change: _fill(log, state, control["pattern"]), names=list(FILTER))
    state.observe(lambda change: _fill_units(log, state, control["unit"]), names=[*FILTER, "pattern"])
    rows = [["route", "evidence"], ["pattern"], ["unit"], ["view"]]
    return Explorer(f"Queries: {log.found.attrs['sentence']}", state, control, _views(log), rows=rows)


class _Log:
    """The queries, and the findings in them, computed once."""

    def __init__(self, queries: pd.DataFrame, source: str) -> None:
        self.queries, self.source = queries, source
        self.search = searched(queries)
        found, clock = found_by(self.search), clock_of(queries)
        self.found = findings_of(found, "pattern", clock)
        present = set(self.found["evidence"])
        self.levels = [level for level in LEVELS if level in present]
        self.by_unit = findings_of(found, "unit", clock)
        self.summary = lru_cache(maxsize=8)(self._summary)

    @property
    def routes(self) -> list[str]:
        if "route" not in self.queries.columns:
            return []
        return sorted(self.queries["route"].dropna().astype("str").unique())

    def patterns(self, now: QueriesState) -> pd.DataFrame:
        """The patterns that match the filter, worst first."""
        kept = self.found["evidence"].isin(list(now.evidence))
        if now.route != ALL_ROUTES:
            kept &= self.found["route"] == now.route
        return self.found[kept].rename_axis("number").reset_index()

    def units(self, now: QueriesState) -> list[str]:
        """The units of work with the chosen pattern: the example first, then those with the most calls."""
        patterns = self.patterns(now)
        if not len(patterns):
            return []
        row, table = self.chosen(now), self.by_unit
        mine = table[(table["child"] == row["child"]) & (table["parent"].fillna("") == _text(row["parent"]))]
        most = mine.sort_values("calls", ascending=False, kind="stable")["unit"].astype("str")
        if {"unit", "route"} <= set(self.queries.columns) and _text(row["route"]):
            here = self.queries.loc[self.queries["route"] == row["route"], "unit"]
            most = most[most.isin(set(here.astype("str")))]
        return list(dict.fromkeys([str(row["example_unit"]), *most.head(_MOST_UNITS)]))

    def chosen(self, now: QueriesState) -> pd.Series:
        """The chosen pattern; ValueError if none matches the filter."""
        patterns = self.patterns(now)
        if not len(patterns):
            raise ValueError("No pattern has this route and evidence; choose others.")
        return patterns.iloc[min(now.pattern, len(patterns) - 1)]

    def code(self, now: QueriesState) -> str:
        """The code for `patterns`."""
        conditions = []
        if now.route != ALL_ROUTES:
            conditions.append(f'(found["route"] == {now.route!r})')
        if set(now.evidence) != set(self.levels):
            conditions.append(f'found["evidence"].isin({list(now.evidence)!r})')
        found = f"found = {call('find_n_plus_one', self.source)}"
        return f"{found}\nfound[{' & '.join(conditions)}]" if conditions else f"{found}\nfound"

    def _summary(self, route: str) -> pd.DataFrame:
        return summarize_queries(self.queries if route == ALL_ROUTES else self.queries[self.queries["route"] == route])


def _controls(log: _Log) -> dict[str, widgets.Widget]:
    def wide() -> widgets.Layout:  # one for each: a layout also says whether its control is shown
        return widgets.Layout(width="98%", max_width="60em")

    return {
        "route": widgets.Dropdown(options=[ALL_ROUTES, *log.routes], description="Route"),
        "evidence": widgets.SelectMultiple(
            options=log.levels, value=tuple(log.levels), description="Evidence", rows=max(2, min(6, len(log.levels)))
        ),
        "pattern": widgets.Dropdown(options=[("none", 0)], value=0, description="Pattern", layout=wide()),
        "unit": widgets.Dropdown(options=[""], value="", description="Unit", layout=wide()),
        "view": view_buttons(VIEWS),
    }


def _fill(log: _Log, state: QueriesState, control: widgets.Dropdown) -> None:
    """List the patterns that match the filter, and choose the worst."""
    patterns = log.patterns(state)
    options = [(_label(i, row), i) for i, row in enumerate(patterns.to_dict("records"))] or [("none", 0)]
    if list(control.options) != options:
        control.options = options
    state.pattern = 0


def _fill_units(log: _Log, state: QueriesState, control: widgets.Dropdown) -> None:
    """List the units of work with the chosen pattern, and choose the example."""
    units = log.units(state) or [""]
    if list(control.options) != units:
        control.options = units
    state.unit = units[0]


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _label(position: int, row: Mapping[Any, Any]) -> str:
    child = str(row["child"])
    at = child.find(" from ")
    about = child[at + 1 :] if at > 0 else child
    route = "" if pd.isna(row["route"]) else f"{row['route']}: "
    return f"{position + 1}. {route}{about[:70]} ({row['evidence']}, {format_ms(row['time_ms'])})"


def _views(log: _Log) -> Mapping[str, tuple[Panel, ...]]:
    one = (*FILTER, "pattern")
    return {
        "Patterns": (Panel(_patterns(log), FILTER),),
        "Unit of work": (Panel(_waterfall(log), (*one, "unit")),),
        "Calls against rows": (Panel(_scaling(log), one),),
        "Fix": (Panel(_fix(log), one),),
        "Statements": (Panel(_statements(log), ("route",)),),
    }


def _patterns(log: _Log) -> Callable[[QueriesState], View]:
    def view(now: QueriesState) -> View:
        patterns = log.patterns(now)
        saved = patterns["time_saved_ms"].sum()
        said = (
            f"{len(patterns)} of {len(log.found)} patterns; fixing them would save "
            f"{format_number(float(patterns['calls_saved'].sum()))} calls and {format_ms(float(saved))}"
        )
        table = patterns[[c for c in FOR_PEOPLE if c in patterns.columns and c not in ("parent", "suggestion")]]
        return View(log.code(now), said, table=table, notes=log.found.attrs["warnings"])

    return view


def _waterfall(log: _Log) -> Callable[[QueriesState], View]:
    def view(now: QueriesState) -> View:
        log.chosen(now)
        ax = plot_waterfall(log.queries, now.unit)
        return View(call("plot_waterfall", log.source, repr(now.unit)), figure=of_axes(ax))

    return view


def _scaling(log: _Log) -> Callable[[QueriesState], View]:
    def view(now: QueriesState) -> View:
        number = int(log.chosen(now)["number"])
        ax = draw_scaling(log.search, log.found.iloc[number])
        return View(call("plot_scaling", log.source, str(number)), figure=of_axes(ax))

    return view


def _fix(log: _Log) -> Callable[[QueriesState], View]:
    def view(now: QueriesState) -> View:
        row = log.chosen(now)
        facts = pd.DataFrame(_facts(row), columns=["fact", "value"])
        code = f"{log.code(now)}.iloc[{now.pattern}]"
        listing = "\n\n".join(
            f"-- {name}\n{laid_out(str(row[name]))}" for name in ("parent", "child") if _text(row[name])
        )
        return View(code, str(row["suggestion"]), table=facts, listing=listing)

    return view


def _facts(row: pd.Series) -> list[tuple[str, str]]:
    """One pattern in words, for a table with two columns."""
    per_unit = f"{format_number(row['calls_per_unit'])} per unit of work, {format_number(row['units'])} units"
    if row["slope"] == row["slope"]:
        interval = f"{format_number(row['slope_low'])} to {format_number(row['slope_high'])}"
        grows = f"{format_number(row['slope'])} per row of the parent (95 % interval {interval})"
    else:
        grows = "unknown: the parent returned too few different numbers of rows"
    return [
        ("evidence", str(row["evidence"])),
        ("calls", f"{format_number(row['calls'])}: {per_unit}"),
        ("growth of calls", grows),
        (
            "time",
            f"{format_ms(row['time_ms'])}, {format_fraction(row['unit_time_fraction'])} of those units' query time",
        ),
        ("fixing saves", f"{format_number(row['calls_saved'])} calls, {format_ms(row['time_saved_ms'])}"),
        ("where", "–" if pd.isna(row["source"]) or not str(row["source"]) else str(row["source"])),
    ]


def _statements(log: _Log) -> Callable[[QueriesState], View]:
    def view(now: QueriesState) -> View:
        table = log.summary(now.route)
        chosen = log.source
        if now.route != ALL_ROUTES:
            chosen = f'{chosen}.loc[lambda table: table["route"] == {now.route!r}]'
        return View(call("summarize_queries", chosen), str(table.attrs["sentence"]), table=pd.DataFrame(table))

    return view
