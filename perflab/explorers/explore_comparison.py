"""An interactive comparison of two arms: another metric, tolerance, warm-up or endpoint, and the resulting verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import traitlets

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import PerflabError
from perflab.explorers.code import call
from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.explorers.reduced import for_statistics
from perflab.metrics import Metric
from perflab.notes import DESIGN, Kind
from perflab.plots.comparison_plots import plot_comparison, plot_quantile_shift
from perflab.plots.decisions import plot_power
from perflab.plots.latency import plot_ecdf
from perflab.plots.pairs import plot_pairs
from perflab.stats.compare import Change, compare
from perflab.stats.estimates import endpoints_of
from perflab.stats.planning import RunPlan, plan_runs, power_paired, smallest_effect
from perflab.stats.shift import quantile_shift
from perflab.units import format_fraction

METRICS = ("p50", "p75", "p90", "p95", "p99", "p99.9", "mean", "throughput_per_s", "error_fraction")
SIDES = ("baseline", "candidate")
DECIDING = (*SIDES, "endpoint", "metric", "tolerance", "warmup")
VIEWS = ("Effect", "Shift function", "Every run", "ECDF", "What if")
EXPLORING = Kind(
    "exploratory", DESIGN,
    "Exploratory: with many views, one looks good by chance. Base the decision on the metric you declared before the runs, "
    "and test what you find here on new ones",
)  # fmt: skip


class ComparisonState(traitlets.HasTraits):
    """The choices: the arms, a metric, tolerance and warm-up as fractions, an endpoint, and one of `VIEWS`.

    ``effect``, ``power`` and ``pairs`` define the experiment in "What if".
    """

    baseline = traitlets.Unicode()
    candidate = traitlets.Unicode()
    metric = traitlets.Unicode("p95")
    tolerance = traitlets.Float(0.05)
    warmup = traitlets.Float(0.1)
    endpoint = traitlets.Unicode(AGGREGATED)
    effect = traitlets.Float(0.1)
    power = traitlets.Float(0.8)
    pairs = traitlets.Int(10)
    view = traitlets.Unicode(VIEWS[0])


def explore_comparison(arms: Mapping[str, tuple[Measurements, str]]) -> Explorer:
    """The comparison explorer for two or more arms, each with the code for it; the first is the baseline."""
    if len(arms) < 2:
        raise ValueError(f"a comparison needs two arms; got {', '.join(arms) or 'none'}")
    sides = _Sides(arms)
    first, second = list(arms)[:2]
    state = ComparisonState(baseline=first, candidate=second, warmup=sides.usual_warmup(first, second))
    rows = [
        ["baseline", "candidate", "endpoint"],
        ["metric", "tolerance", "warmup"],
        ["effect", "power", "pairs"],
        ["view"],
    ]
    return Explorer(f"Comparison of {' and '.join(arms)}", state, _controls(sides, state), _views(sides), rows=rows)


class _Sides:
    """The arms by label, and a cache of their latest comparisons."""

    def __init__(self, arms: Mapping[str, tuple[Measurements, str]]) -> None:
        self.arms = {label: (for_statistics(m), source) for label, (m, source) in arms.items()}
        self._compare = lru_cache(maxsize=32)(self._compared)
        self.plan = lru_cache(maxsize=4)(self._planned)

    @property
    def endpoints(self) -> list[str]:
        found = {endpoint for m, _ in self.arms.values() for endpoint in endpoints_of(m)}
        return [AGGREGATED, *sorted(found)]

    def of(self, now: ComparisonState) -> tuple[Measurements, Measurements]:
        _different(now)
        return self.arms[now.baseline][0], self.arms[now.candidate][0]

    def sources(self, now: ComparisonState) -> tuple[str, str]:
        return self.arms[now.baseline][1], self.arms[now.candidate][1]

    def usual_warmup(self, baseline: str, candidate: str) -> float:
        """The default warm-up of `compare`: the plan's."""
        try:
            return self._compare(baseline, candidate).warmup
        except PerflabError:
            return 0.1

    def change(self, now: ComparisonState) -> Change:
        _different(now)
        return self._compare(now.baseline, now.candidate, **_arguments(now))

    def _planned(self, baseline: str, candidate: str, **arguments: Any) -> RunPlan:
        return plan_runs((self.arms[baseline][0], self.arms[candidate][0]), **arguments)

    def _compared(self, baseline: str, candidate: str, **arguments: Any) -> Change:
        return compare(self.arms[baseline][0], self.arms[candidate][0], **arguments)


def _different(now: ComparisonState) -> None:
    if now.baseline == now.candidate:
        raise ValueError("Choose two different arms.")


def _arguments(now: ComparisonState) -> dict[str, Any]:
    """The keyword arguments of `compare` for the current choices."""
    declared = {} if now.endpoint == AGGREGATED else {"primary": now.endpoint}
    return {"metric": now.metric, "tolerance": round(now.tolerance, 4), "warmup": round(now.warmup, 4), **declared}


def _controls(sides: _Sides, state: ComparisonState) -> dict[str, widgets.Widget]:
    arms = list(sides.arms)

    def share(name: str, most: float, step: float) -> widgets.FloatSlider:
        return widgets.FloatSlider(
            min=0 if name == "Warm-up" else step, max=most, step=step, description=name, continuous_update=False,
            readout_format=".1%",
        )  # fmt: skip

    return {
        "baseline": widgets.Dropdown(options=arms, value=arms[0], description="Baseline"),
        "candidate": widgets.Dropdown(options=arms, value=arms[1], description="Candidate"),
        "endpoint": widgets.Dropdown(options=sides.endpoints, description="Endpoint"),
        "metric": widgets.Dropdown(options=METRICS, value="p95", description="Metric"),
        "tolerance": share("Tolerance", 0.3, 0.005),
        "warmup": share("Warm-up", 0.6, 0.05),
        "effect": share("Effect size", 0.5, 0.01),
        "power": share("Power", 0.95, 0.05),
        "pairs": widgets.IntSlider(min=3, max=60, description="Pairs", continuous_update=False),
        "view": view_buttons(VIEWS),
    }


def _views(sides: _Sides) -> Mapping[str, tuple[Panel, ...]]:
    sentence = Panel(_verdict(sides), DECIDING)
    shown = (*SIDES, "endpoint", "metric", "warmup")
    return {
        "Effect": (Panel(_effect(sides), DECIDING),),
        "Shift function": (sentence, Panel(_shift(sides), (*SIDES, "endpoint", "warmup"))),
        "Every run": (sentence, Panel(_every_run(sides), shown)),
        "ECDF": (sentence, Panel(_ecdf(sides), shown)),
        "What if": (
            sentence,
            Panel(_more_pairs(sides), (*shown, "effect", "power", "pairs")),
            Panel(_planned(sides), (*shown, "effect", "power")),
        ),
    }


def _verdict(sides: _Sides) -> Any:
    def view(now: ComparisonState) -> View:
        return View.of(sides.change(now), call("compare", *sides.sources(now), **_arguments(now)), brief=True)

    return view


def _effect(sides: _Sides) -> Any:
    def view(now: ComparisonState) -> View:
        change, compared = sides.change(now), call("compare", *sides.sources(now), **_arguments(now))
        code = f"{compared}\nlab.plot_comparison({compared})"
        return replace(View.of(change, code, EXPLORING()), figure=of_axes(plot_comparison(change)))

    return view


def _shift(sides: _Sides) -> Any:
    def view(now: ComparisonState) -> View:
        takes: dict[str, Any] = {"endpoint": now.endpoint, "warmup": round(now.warmup, 4)}
        shift = quantile_shift(*sides.of(now), **takes)
        made = call("quantile_shift", *sides.sources(now), **takes)
        figure = of_axes(plot_quantile_shift(shift))
        return View(f"lab.plots.plot_quantile_shift({made})", shift.sentence, figure, notes=shift.warnings)

    return view


def _every_run(sides: _Sides) -> Any:
    def view(now: ComparisonState) -> View:
        takes: dict[str, Any] = {"metric": now.metric, "endpoint": now.endpoint, "warmup": round(now.warmup, 4)}
        ax = plot_pairs(*sides.of(now), **takes)
        return View(call("plot_pairs", *sides.sources(now), **takes), figure=of_axes(ax))

    return view


def _ecdf(sides: _Sides) -> Any:
    def view(now: ComparisonState) -> View:
        share = Metric.of(now.metric).share
        takes: dict[str, Any] = {"endpoint": now.endpoint, "warmup": round(now.warmup, 4)}
        takes |= {"percentile": round(share * 100, 6)} if share is not None and share < 1 else {}
        ax = plot_ecdf(*sides.of(now), **takes)
        return View(call("plot_ecdf", *sides.sources(now), **takes), figure=of_axes(ax))

    return view


def _plan(sides: _Sides, now: ComparisonState) -> tuple[RunPlan, str]:
    """The result of `plan_runs` with these runs as the pilot, and its code."""
    takes: dict[str, Any] = {
        "effect": round(now.effect, 4), "power": round(now.power, 4), "metric": now.metric, "endpoint": now.endpoint,
        "warmup": round(now.warmup, 4),
    }  # fmt: skip
    _different(now)
    return sides.plan(now.baseline, now.candidate, **takes), call(
        "plan_runs", f"({', '.join(sides.sources(now))})", **takes
    )


def _more_pairs(sides: _Sides) -> Any:
    def view(now: ComparisonState) -> View:
        plan, code = _plan(sides, now)
        sd = plan.pilot.sd_pairs_upper
        seen, least = power_paired(now.pairs, plan.effect, sd), smallest_effect(now.pairs, sd, plan.power)
        said = (
            f"{now.pairs} new pairs detect a change of {format_fraction(plan.effect)} with power "
            f"{format_fraction(round(seen, 2))}; the smallest change they detect with power "
            f"{format_fraction(plan.power)} is {format_fraction(least)}"
        )
        return View(code, said, notes=[plan.sentence, *plan.notes])

    return view


def _planned(sides: _Sides) -> Any:
    def view(now: ComparisonState) -> View:
        plan, code = _plan(sides, now)
        return View(f"lab.plots.plot_power({code})", figure=of_axes(plot_power(plan)))

    return view
