"""What a plan of runs can see, and where a history changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import MaxNLocator, PercentFormatter

from perflab.plots.drawing import GREY, STYLES, axes, plain, titled
from perflab.stats.history import ChangePoints
from perflab.stats.planning import RunPlan, power_paired
from perflab.units import format_fraction, format_ms, format_value

_EFFECTS = (0.03, 0.05, 0.10, 0.20, 0.40)


def plot_power(plan: RunPlan, *, ax: Axes | None = None) -> Axes:
    """The power of each number of pairs for the wanted effect, and for smaller and larger ones.

    Parameters
    ----------
    plan : what `plan_runs` returned.
    ax : Axes to draw on; a new figure if not given.

    Returns
    -------
    Axes. x: pairs; y: the chance to see the effect, at the upper 80 % limit of the pilot's standard deviation; the
    wanted effect is the thick line, its dashed companion uses the standard deviation as measured.

    >>> runs = lab.load("datasets/shop_runs")
    >>> plan = lab.plan_runs(runs.where(arm="n+1"), effect="30%", endpoint="GET /orders")
    >>> lab.plot_power(plan).get_xlabel()
    'Pairs of runs'
    """
    ax = axes(ax)
    pilot, last = plan.pilot, max(12, min(60, round(1.6 * plan.pairs)), plan.pairs + 2)
    counts = np.unique(np.geomspace(3, last, 60).round().astype(int))
    others = [e for e in _EFFECTS if abs(e / plan.effect - 1) > 0.2]
    near = sorted(others, key=lambda e: abs(np.log(e / plan.effect)))[:2]
    for style, effect in zip((STYLES[0], STYLES[2]), sorted(near), strict=False):
        curve = [power_paired(int(k), effect, pilot.sd_pairs_upper) for k in counts]
        ax.plot(
            counts, curve, color=style[0], linestyle=style[1], linewidth=1.3, label=f"{format_fraction(effect)} change"
        )
    for sd, dashes, width, words in (
        (pilot.sd_pairs_upper, "-", 2.4, f"{format_fraction(plan.effect)} change, planned for"),
        (pilot.sd_pairs, (0, (1.5, 1.5)), 1.6, f"{format_fraction(plan.effect)} change, at the sd as measured"),
    ):
        curve = [power_paired(int(k), plan.effect, sd) for k in counts]
        ax.plot(counts, curve, color=STYLES[1][0], linestyle=dashes, linewidth=width, label=words)
    reached = power_paired(plan.pairs, plan.effect, pilot.sd_pairs_upper)
    ax.axhline(plan.power, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    ax.plot([plan.pairs], [reached], "o", color=STYLES[1][0], markersize=9, markeredgecolor="white", zorder=4)
    ax.annotate(
        f"{plan.pairs} pairs, {format_ms(plan.minutes * 6e4)}", (plan.pairs, reached), xytext=(-8, 9),
        textcoords="offset points", ha="right" if plan.pairs > last / 2 else "left", fontsize=9,
    )  # fmt: skip
    ax.set_xlabel("Pairs of runs")
    ax.set_ylabel("Chance to see the change")
    ax.set_ylim(0, 1.03)
    ax.set_xlim(left=min(3, plan.pairs) - 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.legend(loc="best", fontsize=8.5, framealpha=0.85, edgecolor="none")
    where = plain(pilot.metric if pilot.endpoint == "Aggregated" else f"{pilot.metric} of {pilot.endpoint}", 44)
    titled(
        ax,
        f"A {format_fraction(plan.effect)} change of {where} needs {plan.pairs} pairs",
        f"from a pilot of {pilot.count} runs: two of a pair differ by {format_fraction(pilot.sd_pairs)} (sd), planned for "
        f"{format_fraction(pilot.sd_pairs_upper)}",
    )
    return ax


def plot_history(changes: ChangePoints, *, ax: Axes | None = None) -> Axes:
    """A metric of every run of a history, with the stretches between changes and the places of change marked.

    Parameters
    ----------
    changes : what `change_points` returned.
    ax : Axes to draw on; a new figure if not given.

    Returns
    -------
    Axes. x: start of the run (its number, where starts are unknown); y: the metric; horizontal lines: the typical value
    of each stretch; vertical lines: the first run after each change, with its size.

    >>> start = pd.date_range("2026-01-01", periods=40, freq="D", tz="UTC")
    >>> value = 100 * np.exp(np.random.default_rng(1).normal(0, 0.05, 40)) * np.where(np.arange(40) < 25, 1.0, 1.3)
    >>> found = lab.change_points(pd.DataFrame({"run": range(40), "start": start, "value": value}))
    >>> lab.plot_history(found).get_xlabel()
    'Start of the run (UTC)'
    """
    ax = axes(ax)
    values = changes.values
    known = bool(values["start"].notna().all()) and len(values) > 0
    naive = values["start"].dt.tz_convert("UTC").dt.tz_localize(None) if known else None
    at = np.arange(1, len(values) + 1) if naive is None else naive.to_numpy()
    colour = STYLES[1][0]
    ax.plot(at, values["value"], "o", color=colour, markersize=5, alpha=0.75, markeredgewidth=0, zorder=2)
    positive = bool((values["value"] > 0).all())
    for _, part in values.groupby("segment"):
        typical = float(np.exp(np.log(part["value"]).mean())) if positive else float(part["value"].mean())
        ax.plot([at[part.index[0]], at[part.index[-1]]], [typical, typical], color="black", linewidth=1.8, zorder=3)
    ax.margins(y=0.14)
    places = pd.Index(values["run"]).get_indexer(changes.table["run"])
    for place, row in zip(places, changes.table.itertuples(), strict=True):
        worse = (row.change > 0) != (changes.metric == "throughput_per_s")
        mark = STYLES[0][0] if worse else STYLES[2][0]
        ax.axvline(at[place], color=mark, linestyle=(0, (4, 2)), linewidth=1.3, zorder=1)
        sign = "+" if row.change > 0 else ""
        ax.annotate(
            f"{sign}{format_fraction(row.change)}\n{plain(row.run, 22)}", (at[place], 1), xycoords=("data", "axes fraction"),
            xytext=(4, -4), textcoords="offset points", va="top", fontsize=8.5, color=mark,
        )  # fmt: skip
    if known:
        locator: Any = AutoDateLocator()  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.set_xlabel("Start of the run (UTC)" if known else "Number of the run")
    unit = {"ms": ", ms", "1/s": ", requests/s", "fraction": ", share of 1"}.get(changes.unit, "")
    ax.set_ylabel(plain(changes.metric) + unit)
    titled(
        ax,
        plain(_headline(changes), 90),
        f"{len(values)} runs; black: typical value between changes; a change needs p < 0.0001",
    )
    return ax


def _headline(changes: ChangePoints) -> str:
    where = {"": "", "Aggregated": " of all requests"}.get(changes.endpoint, f" of {changes.endpoint}")
    if changes.table.empty:
        return f"No lasting change of {changes.metric}{where}"
    last = changes.table.iloc[-1]
    suffix = {"ms": "_ms", "1/s": "_per_s", "fraction": "_fraction"}.get(changes.unit, "")
    values = f"{format_value(suffix, last['before'])} to {format_value(suffix, last['after'])}"
    return f"{changes.metric}{where} went from {values} at {last['run']}"
