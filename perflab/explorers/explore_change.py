"""A `Change` endpoint by endpoint: the verdict, its effect, and how it was decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import ipywidgets as widgets
import pandas as pd
import traitlets

from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.metrics import Metric
from perflab.notes import DESIGN, Kind
from perflab.plots.comparison_plots import plot_comparison
from perflab.stats.change import Change

VIEWS = ("Effect", "How it was decided", "Every run")
ONE = ("endpoint", "metric")
MORE = Kind(
    "change-only", DESIGN,
    "a Change holds one number per run, not the requests: lab.explore(before, after) has other metrics, tolerances and "
    "warm-ups, and the distributions",
)  # fmt: skip


class ChangeState(traitlets.HasTraits):
    """The choices: an endpoint, a metric (of those compared), and one of `VIEWS`."""

    endpoint = traitlets.Unicode()
    metric = traitlets.Unicode()
    view = traitlets.Unicode(VIEWS[0])


def explore_change(change: Change, source: str) -> Explorer:
    """The explorer for a result of `compare`; ``source`` is its name in the displayed code."""
    state = ChangeState(endpoint=change.endpoint, metric=change.metric)
    controls = {
        "endpoint": widgets.Dropdown(
            options=list(change.table["endpoint"].unique()), value=change.endpoint, description="Endpoint"
        ),
        "metric": widgets.Dropdown(options=change.metrics, value=change.metric, description="Metric"),
        "view": view_buttons(VIEWS),
    }
    views = {
        "Effect": (Panel(_effect(change, source), ONE),),
        "How it was decided": (Panel(_explained(change, source), ONE),),
        "Every run": (Panel(_verdict(change, source), ONE), Panel(_values(change, source), ONE)),
    }
    return Explorer(
        f"Change: {' against '.join(change.arms)}", state, controls, views, rows=[["endpoint", "metric"], ["view"]]
    )


def _of_row(change: Change, now: ChangeState) -> Change:
    """The change with the chosen row in place of the deciding one."""
    return replace(change, endpoint=now.endpoint, metric=now.metric, primaries=())


def _verdict(change: Change, source: str) -> Callable[[ChangeState], View]:
    return lambda now: View.of(_of_row(change, now), source, brief=True)


def _effect(change: Change, source: str) -> Callable[[ChangeState], View]:
    def view(now: ChangeState) -> View:
        figure = of_axes(plot_comparison(change, endpoint=now.endpoint, metric=now.metric))
        code = f"{source}\nlab.plot_comparison({source}, endpoint={now.endpoint!r}, metric={now.metric!r})"
        return replace(View.of(_of_row(change, now), code, MORE()), figure=figure)

    return view


def _explained(change: Change, source: str) -> Callable[[ChangeState], View]:
    def view(now: ChangeState) -> View:
        explained = change.explain(now.endpoint, now.metric)
        return View.of(explained, f"{source}.explain({now.endpoint!r}, {now.metric!r})")

    return view


def _values(change: Change, source: str) -> Callable[[ChangeState], View]:
    def view(now: ChangeState) -> View:
        values = change.values
        chosen = (values["endpoint"] == now.endpoint) & (values["metric"] == now.metric)
        table = pd.DataFrame(values[chosen]).reset_index(drop=True)
        code = (
            f'{source}.values.loc[lambda table: (table["endpoint"] == {now.endpoint!r}) '
            f'& (table["metric"] == {now.metric!r})]'
        )
        return View(code, f"{Metric.of(now.metric).label} of each run: {now.endpoint}", table=table)

    return view
