"""Interactive objectives: which limit would hold, and with what confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets
import traitlets

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import PerflabError
from perflab.explorers.code import call
from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.explorers.reduced import for_statistics
from perflab.metrics import SHARE, Metric
from perflab.objectives.checking import check
from perflab.objectives.limits import attainable
from perflab.objectives.objective import Objective
from perflab.plots.attainable_plots import plot_attainable
from perflab.stats.estimates import endpoints_of
from perflab.units import format_fraction

Goals = tuple[Any, str]
"""Objectives as `check` takes them, and the code for them."""

METRICS = ("p50", "p75", "p90", "p95", "p99", "p99.9", "mean", "throughput_per_s", "error_fraction")
CONFIDENCES = (0.8, 0.9, 0.95, 0.975, 0.99, 0.999)
VIEWS = ("One limit", "Every endpoint")
GIVEN = "The objectives given"
_STEPS = 300
_GOAL = ("arm", "metric", "endpoint", "warmup")


class ObjectivesState(traitlets.HasTraits):
    """The choices: an arm, a metric, an endpoint, a limit in the metric's unit, a confidence, a warm-up, and a view."""

    arm = traitlets.Unicode()
    metric = traitlets.Unicode("p95")
    endpoint = traitlets.Unicode(AGGREGATED)
    limit = traitlets.Float(100.0)
    confidence = traitlets.Float(0.95)
    warmup = traitlets.Float(0.1)
    view = traitlets.Unicode(VIEWS[0])


def explore_objectives(arms: Mapping[str, tuple[Measurements, str]], goals: Goals | None = None) -> Explorer:
    """The objectives explorer for one or more arms, each with the code for it, and optional objectives to start with."""
    arms = {label: (for_statistics(m), source) for label, (m, source) in arms.items()}
    views = (GIVEN, *VIEWS) if goals else VIEWS
    state = ObjectivesState(arm=next(iter(arms)), view=views[0])
    controls = _controls(arms, views)
    slider = _Limit(arms, state, controls["limit"])
    state.observe(lambda change: slider.follow(reset=change["name"] in ("metric", "endpoint")), names=[*_GOAL])
    rows = [["arm", "endpoint", "metric"], ["limit", "confidence", "warmup"], ["view"]]
    title = f"Objectives: {', '.join(arms)}"
    return Explorer(title, state, controls, _views(arms, goals, slider), rows=rows)


class _Limit:
    """The slider of the limit: its range follows the measured values, so that every step makes a difference.

    The limit stays where the user set it until the metric or endpoint changes.
    """

    def __init__(
        self, arms: Mapping[str, tuple[Measurements, str]], state: ObjectivesState, slider: widgets.FloatSlider
    ) -> None:
        self._arms, self._state, self._slider = arms, state, slider
        self.follow(reset=True)

    def follow(self, *, reset: bool) -> None:
        now = self._state
        try:
            table = attainable(self._arms[now.arm][0], now.metric, now.endpoint, confidences=[0.001, 0.95, 0.999],
                               warmup=now.warmup)  # fmt: skip
        except PerflabError:
            return
        low, middle, high = table["limit"]
        if middle != middle:
            return
        least, most = sorted((low, high))
        kept = now.limit
        if not reset:
            least, most = min(least, now.limit), max(most, now.limit)
        most = max(most * 1.2, 1e-6)
        step = float(f"{most / _STEPS:.1g}")
        # Changing a slider's range changes its value; nothing is drawn until all three are set.
        with self._state.hold_trait_notifications(), self._slider.hold_sync():
            self._slider.min, self._slider.max = 0.0, 1e12
            self._slider.step = step
            self._slider.max = max(float(f"{most:.3g}"), 2 * step)
            self._slider.min = float(f"{least * 0.8:.2g}")
            self._slider.description = f"Limit, {table['unit'].iloc[0]}"
            self._slider.readout_format = ".4f" if Metric.of(now.metric).kind == SHARE else ".4g"
            wanted = float(f"{middle:.3g}") if reset else kept
            now.limit = min(max(wanted, self._slider.min), self._slider.max)


def _controls(arms: Mapping[str, tuple[Measurements, str]], views: tuple[str, ...]) -> dict[str, widgets.Widget]:
    endpoints = {endpoint for m, _ in arms.values() for endpoint in endpoints_of(m)}
    return {
        "arm": widgets.Dropdown(options=list(arms), description="Arm"),
        "endpoint": widgets.Dropdown(options=[AGGREGATED, *sorted(endpoints)], description="Endpoint"),
        "metric": widgets.Dropdown(options=METRICS, value="p95", description="Metric"),
        "limit": widgets.FloatSlider(
            min=0.0, max=1000.0, description="Limit", continuous_update=False, layout=widgets.Layout(width="30em")
        ),
        "confidence": widgets.SelectionSlider(
            options=[(format_fraction(c), c) for c in CONFIDENCES], value=0.95, description="Confidence",
            continuous_update=False,
        ),
        "warmup": widgets.FloatSlider(
            max=0.6, step=0.05, description="Warm-up", continuous_update=False, readout_format=".0%"
        ),
        "view": view_buttons(views),
    }  # fmt: skip


def _views(
    arms: Mapping[str, tuple[Measurements, str]], goals: Goals | None, slider: _Limit
) -> Mapping[str, tuple[Panel, ...]]:
    one = (*_GOAL, "limit")
    views = {
        VIEWS[0]: (
            Panel(_check(arms), one),
            Panel(_would_hold(arms), (*_GOAL, "confidence")),
            Panel(_curve(arms), one),
        ),
        VIEWS[1]: (Panel(_everywhere(arms), ("arm", "metric", "confidence", "warmup")),),
    }
    return views if goals is None else {GIVEN: (Panel(_given(arms, goals), ("arm", "warmup")),), **views}


def _objective(now: ObjectivesState, limit: float | None = None) -> tuple[Objective, str]:
    """The chosen objective, and its code."""
    operator = ">" if Metric.of(now.metric).better > 0 else "<"
    limit = float(f"{now.limit if limit is None else limit:.4g}")
    where: dict[str, Any] = {} if now.endpoint == AGGREGATED else {"endpoint": now.endpoint}
    goal = Objective(now.metric, operator, limit, **where)
    return goal, call("Objective", repr(now.metric), repr(operator), f"{limit:g}", **where)


def _check(arms: Mapping[str, tuple[Measurements, str]]) -> Callable[[ObjectivesState], View]:
    def view(now: ObjectivesState) -> View:
        measured, source = arms[now.arm]
        goal, written = _objective(now)
        takes: dict[str, Any] = {"warmup": round(now.warmup, 4)}
        checked = check(measured, goal, **takes)
        code = call("check", source, written, **takes)
        return View.of(checked, code)

    return view


def _would_hold(arms: Mapping[str, tuple[Measurements, str]]) -> Callable[[ObjectivesState], View]:
    def view(now: ObjectivesState) -> View:
        measured, source = arms[now.arm]
        takes: dict[str, Any] = {"confidences": [now.confidence], "warmup": round(now.warmup, 4)}
        row = attainable(measured, now.metric, now.endpoint, **takes).iloc[0]
        code = call("attainable", source, repr(now.metric), repr(now.endpoint), **takes)
        if row["limit"] != row["limit"]:
            return View(code, f"No limit can be given: {row['reason']}")
        goal, _ = _objective(now, float(row["limit"]))
        return View(code, f"With {format_fraction(now.confidence)} confidence: {goal}")

    return view


def _curve(arms: Mapping[str, tuple[Measurements, str]]) -> Callable[[ObjectivesState], View]:
    def view(now: ObjectivesState) -> View:
        measured, source = arms[now.arm]
        takes: dict[str, Any] = {"limit": float(f"{now.limit:.4g}"), "warmup": round(now.warmup, 4)}
        ax = plot_attainable(measured, now.metric, now.endpoint, **takes)
        code = call("plot_attainable", source, repr(now.metric), repr(now.endpoint), **takes)
        return View(code, figure=of_axes(ax))

    return view


def _everywhere(arms: Mapping[str, tuple[Measurements, str]]) -> Callable[[ObjectivesState], View]:
    def view(now: ObjectivesState) -> View:
        measured, source = arms[now.arm]
        takes: dict[str, Any] = {"confidences": [now.confidence], "warmup": round(now.warmup, 4)}
        table = attainable(measured, now.metric, None, **takes)
        code = call("attainable", source, repr(now.metric), "None", **takes)
        metric = Metric.of(now.metric)
        said = f"{metric.axis_label}: the limits that would hold with {format_fraction(now.confidence)} confidence"
        suffix = metric.suffix
        table = table.rename(columns={"limit": f"limit{suffix}", "measured": f"measured{suffix}"})
        return View(code, said, table=table.drop(columns=["metric", "confidence", "unit"]))

    return view


def _given(arms: Mapping[str, tuple[Measurements, str]], goals: Goals) -> Callable[[ObjectivesState], View]:
    def view(now: ObjectivesState) -> View:
        measured, source = arms[now.arm]
        takes: dict[str, Any] = {"warmup": round(now.warmup, 4)}
        checked = check(measured, goals[0], **takes)
        code = call("check", source, goals[1], **takes)
        return View.of(checked, code)

    return view
