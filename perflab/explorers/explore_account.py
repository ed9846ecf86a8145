"""The components of a latency, or of its change: an account for each endpoint and percentile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import ipywidgets as widgets
import pandas as pd
import traitlets

from perflab.data.tables import AGGREGATED, Measurements
from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.plots.account_plots import plot_account
from perflab.stats.estimates import endpoints_of
from perflab.traces.account_result import Account
from perflab.traces.accounts import account

VIEWS = ("Waterfall", "Calls")
METRICS = ("p50", "p90", "p95", "p99", "mean")
CHOICES = ("endpoint", "metric")


class AccountState(traitlets.HasTraits):
    """The choices: an endpoint, a metric (of `METRICS`), and one of `VIEWS`."""

    endpoint = traitlets.Unicode(AGGREGATED)
    metric = traitlets.Unicode("p95")
    view = traitlets.Unicode(VIEWS[0])


def explore_account(arms: Mapping[str, tuple[Measurements, str]]) -> Explorer:
    """The account explorer for one arm, or the first two; each with the code for it."""
    chosen = list(arms.values())[:2]
    found = [set(endpoints_of(m)) for m, _ in chosen]
    endpoints = [AGGREGATED, *sorted(set.intersection(*found))]
    names = ", ".join(name for _, name in chosen)

    @lru_cache(maxsize=64)
    def made(endpoint: str, metric: str) -> Account:
        return account(*(m for m, _ in chosen), endpoint=endpoint, metric=metric)

    def code(now: AccountState) -> str:
        return f"lab.account({names}, endpoint={now.endpoint!r}, metric={now.metric!r})"

    state = AccountState()
    controls = {
        "endpoint": widgets.Dropdown(options=endpoints, value=AGGREGATED, description="Endpoint"),
        "metric": widgets.Dropdown(options=METRICS, value="p95", description="Metric"),
        "view": view_buttons(VIEWS),
    }
    result = Panel(lambda now: View.of(made(now.endpoint, now.metric), code(now)), CHOICES)
    views = {
        "Waterfall": (Panel(_waterfall(made, code), CHOICES), result),
        "Calls": (Panel(_calls(made, code), CHOICES),),
    }
    title = " against ".join(list(arms)[:2])
    return Explorer(f"Account: {title}", state, controls, views, rows=[["endpoint", "metric"], ["view"]])


def _waterfall(
    made: Callable[[str, str], Account], code: Callable[[AccountState], str]
) -> Callable[[AccountState], View]:
    def view(now: AccountState) -> View:
        return View(f"lab.plot_account({code(now)})", figure=of_axes(plot_account(made(now.endpoint, now.metric))))

    return view


def _calls(made: Callable[[str, str], Account], code: Callable[[AccountState], str]) -> Callable[[AccountState], View]:
    def view(now: AccountState) -> View:
        found = made(now.endpoint, now.metric)
        table = pd.DataFrame(found.calls.head(20))
        return View(f"{code(now)}.calls.head(20)", f"Statements and calls behind it: {found.sentence}", table=table)

    return view
