"""What a number of runs can detect, and where a history changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import MaxNLocator, PercentFormatter

from perflab.metrics import Metric
from perflab.plots.drawing import GREY, STYLES, axes, of_endpoint, plain, titled
from perflab.plots.palette import INK
from perflab.stats.history import ChangePoints
from perflab.stats.planning import RunPlan, power_paired
from perflab.units import format_fraction, format_ms

_EFFECTS = (0.03, 0.05, 0.10, 0.20, 0.40)


def plot_power(plan: RunPlan, *, ax: Axes | None = None) -> Axes:
    """Draw power against the number of pairs, for the planned effect and for smaller and larger ones.

    Parameters
    ----------
    plan : RunPlan
        The result of `plan_runs`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: pairs; y: power, at the upper 80 % limit of the pilot's standard deviation; the thick line is the planned effect,
        the dashed one the same at the measured standard deviation.

    >>> runs = lab.load("datasets/shop_runs")
    >>> plan = lab.plan_runs(runs.where(arm="n+1"), effect="30%", endpoint="GET /orders")
    >>> lab.plots.plot_power(plan).get_xlabel()
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
        (pilot.sd_pairs_upper, "-", 2.4, f"{format_fraction(plan.effect)} change (planned)"),
        (pilot.sd_pairs, (0, (1.5, 1.5)), 1.6, f"{format_fraction(plan.effect)} change, sd as measured"),
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
    ax.set_ylabel("Power")
    ax.set_ylim(0, 1.03)
    ax.set_xlim(left=min(3, plan.pairs) - 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.legend(loc="best", fontsize=8.5, frameon=False)
    where = f"{Metric.of(pilot.metric).label} of {of_endpoint(pilot.endpoint)}"
    titled(
        ax,
        f"A {format_fraction(plan.effect)} change of {where} needs {plan.pairs} pairs",
        f"pilot of {pilot.count} runs: sd within pairs {format_fraction(pilot.sd_pairs)}, planned for "
        f"{format_fraction(pilot.sd_pairs_upper)}",
    )
    return ax


def plot_history(changes: ChangePoints, *, ax: Axes | None = None) -> Axes:
    """Draw a metric of every run of a history, with the change points marked.

    Parameters
    ----------
    changes : ChangePoints
        The result of `change_points`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: start of the run (or its number, where starts are unknown); y: the metric; horizontal lines: the typical value
        between changes; vertical lines: the first run after each change, with its size.

    >>> start = pd.date_range("2026-01-01", periods=40, freq="D", tz="UTC")
    >>> value = 100 * np.exp(np.random.default_rng(1).normal(0, 0.05, 40)) * np.where(np.arange(40) < 25, 1.0, 1.3)
    >>> found = lab.change_points(pd.DataFrame({"run": range(40), "start": start, "value": value}))
    >>> lab.plots.plot_history(found).get_xlabel()
    'Start of the run (UTC)'
    """
    ax = axes(ax)
    values = changes.values
    known = bool(values["start"].notna().all()) and len(values) > 0
    naive = values["start"].dt.tz_convert("UTC").dt.tz_localize(None) if known else None
    at = np.arange(1, len(values) + 1) if naive is None else naive.to_numpy()
    colour = STYLES[1][0]
    ax.plot(at, values["value"], "o", color=colour, markersize=5, alpha=0.75, markeredgewidth=0, zorder=2)
    kind = Metric.of(changes.metric)
    for _, part in values.groupby("segment"):
        typical = kind.typical(part["value"].to_numpy(dtype="float64"))
        ax.plot([at[part.index[0]], at[part.index[-1]]], [typical, typical], color=INK, linewidth=1.8, zorder=3)
    ax.margins(y=0.14)
    places = pd.Index(values["run"]).get_indexer(changes.table["run"])
    for place, row in zip(places, changes.table.itertuples(), strict=True):
        worse = row.change * kind.better < 0
        mark = STYLES[0][0] if worse else STYLES[2][0]
        ax.axvline(at[place], color=mark, linestyle=(0, (4, 2)), linewidth=1.3, zorder=1)
        ax.annotate(
            f"{kind.format_change(row.change)}\n{plain(row.run, 22)}", (at[place], 1), xycoords=("data", "axes fraction"),
            xytext=(4, -4), textcoords="offset points", va="top", fontsize=8.5, color=mark,
        )  # fmt: skip
    if known:
        locator: Any = AutoDateLocator()  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.set_xlabel("Start of the run (UTC)" if known else "Number of the run")
    ax.set_ylabel(kind.axis_label)
    titled(
        ax,
        plain(_headline(changes, kind), 90),
        f"{len(values)} runs; dark line: mean between changes; a change needs p < 0.0001",
    )
    return ax


def _headline(changes: ChangePoints, kind: Metric) -> str:
    subject = f"{kind.label} of {of_endpoint(changes.endpoint)}" if changes.endpoint else kind.label
    if changes.table.empty:
        return f"No lasting change of {subject}"
    last = changes.table.iloc[-1]
    return f"{subject}: {kind.format(last['before'])} → {kind.format(last['after'])} at {last['run']}"
