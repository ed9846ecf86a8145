"""Pages: their vitals visit by visit, the requests of a visit, and what changed between two arms."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets as widgets
import pandas as pd
import traitlets

from perflab.data.tables import Measurements
from perflab.explorers.code import call, method
from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.metrics import VITAL_NAMES, Metric
from perflab.plots.page_plots import plot_vitals
from perflab.plots.query_plots import plot_waterfall
from perflab.stats.compare import compare
from perflab.stats.estimates import summarize

VITALS, WATERFALL, CAUSES, COMPARISON = VIEWS = ("Vitals", "Requests", "Causes", "Comparison")


class PagesState(traitlets.HasTraits):
    """The choices: a metric, a page, an arm, and one of `VIEWS`."""

    metric = traitlets.Unicode("lcp")
    page = traitlets.Unicode()
    arm = traitlets.Unicode()
    view = traitlets.Unicode(VITALS)


def explore_pages(arms: Mapping[str, tuple[Measurements, str]]) -> Explorer:
    """The explorer of runs of pages, by arm, each with the code for it."""
    together = pd.concat([measured.vitals for measured, _ in arms.values()], ignore_index=True)
    pages = [str(page) for page in pd.unique(together["page"])]
    known = set(together["metric"])
    metrics = [name for name in VITAL_NAMES if name in known]
    first = next(iter(arms))
    names = [name for _, name in arms.values()]
    state = PagesState(metric=metrics[0], page=pages[0], arm=first)
    traced = [label for label, (measured, _) in arms.items() if len(measured.tables.get("exchanges", ()))]
    shown = [v for v in VIEWS if (v != WATERFALL or traced) and (v != COMPARISON or len(arms) == 2)]
    controls = {
        "metric": widgets.Dropdown(
            options=[(Metric.of(name).label, name) for name in metrics], value=metrics[0], description="Metric"
        ),
        "page": widgets.Dropdown(options=pages, value=pages[0], description="Page"),
        "arm": widgets.Dropdown(options=list(arms), value=first, description="Arm"),
        "view": view_buttons(shown),
    }

    def vitals(now: PagesState) -> View:
        code = call("plot_vitals", *names, metric=now.metric, page=now.page)
        sides = [measured for measured, _ in arms.values()]
        return View(code, figure=of_axes(plot_vitals(*sides, metric=now.metric, page=now.page)))

    def summary(now: PagesState) -> View:
        measured, name = arms[now.arm]
        table = summarize(measured)
        return View(call("summarize", name), str(table.attrs["sentence"]), table=pd.DataFrame(table))

    def waterfall(now: PagesState) -> View:
        label = now.arm if now.arm in traced else traced[0]
        measured, name = arms[label]
        code = call("plot_waterfall", method(name, "exchanges"), repr(now.page))
        return View(code, figure=of_axes(plot_waterfall(measured.exchanges, now.page)))

    def causes(now: PagesState) -> View:
        measured, name = arms[now.arm]
        own = measured.vitals[(measured.vitals["page"] == now.page) & (measured.vitals["metric"] == now.metric)]
        found = own.groupby("element", sort=False)["value"].agg(visits="size", median="median").reset_index()
        table = found.sort_values("median", ascending=False, ignore_index=True)
        code = f"vitals = {method(name, 'vitals')}\nvitals.query('page == {now.page!r} and metric == {now.metric!r}')"
        return View(code, f"What {Metric.of(now.metric).label} was measured on", table=table)

    def comparison(now: PagesState) -> View:
        before, after = (measured for measured, _ in arms.values())
        return View.of(compare(before, after, metric=now.metric), call("compare", *names, metric=now.metric))

    panels = {
        VITALS: (Panel(vitals, ("metric", "page")), Panel(summary, ("arm",))),
        WATERFALL: (Panel(waterfall, ("arm", "page")),),
        CAUSES: (Panel(causes, ("arm", "metric", "page")),),
        COMPARISON: (Panel(comparison, ("metric",)),),
    }
    views = {name: panels[name] for name in shown}
    return Explorer("Pages", state, controls, views, rows=[["metric", "page", "arm"], ["view"]])
