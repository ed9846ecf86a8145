"""The confidence at each possible limit of an objective."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Metric
from perflab.objectives.limits import attainable
from perflab.plots.drawing import GREY, STYLES, Floats, axes, counted, plain, titled
from perflab.stats import estimates
from perflab.stats.estimates import by_run
from perflab.units import format_fraction, format_number, parse_fraction

SURE = 0.975
"""Where `check` decides "holds": the end of its 95 % interval."""
_GRID = np.unique(np.round(np.concatenate([np.linspace(0.005, 0.995, 100), [0.001, 0.025, 0.975, 0.999]]), 4))


def plot_attainable(
    measured: Measurements,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    *,
    limit: float | None = None,
    warmup: float | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the confidence that an objective would hold, for each limit it could have.

    Parameters
    ----------
    measured : Measurements
        The runs of one arm.
    metric : str
        "p95" or any ``"p<q>"``, "mean", "throughput_per_s" (a lower limit) or "error_fraction".
    endpoint : str
        One endpoint, or all of them ("Aggregated").
    limit : float
        Marked by a vertical line: milliseconds, requests per second, or a fraction.
    warmup : float or str
        As for `check`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: the limit in the metric's unit; y: confidence in % (one-sided). Marks at the bottom are the runs.

    Raises
    ------
    ComparisonError
        As `check`.
    ValueError
        These runs are not enough; the message says why.

    >>> eager = lab.load("datasets/shop_runs", arm="eager")
    >>> lab.plots.plot_attainable(eager, "p95", "GET /orders", limit=40).get_ylabel()
    'Confidence that it holds, %'
    """
    table = attainable(measured, metric, endpoint, confidences=_GRID.tolist(), warmup=warmup)
    if table["limit"].isna().all():
        raise ValueError(str(table["reason"].iloc[0]))
    kind = Metric.of(metric)
    limits, sure = table.sort_values("limit")[["limit", "confidence"]].to_numpy().T
    ax = axes(ax)
    _curve(ax, limits, sure, limit)
    _levels(ax)
    each = by_run(measured, [metric], warmup=_share(warmup))
    _runs(ax, each.loc[each["endpoint"] == endpoint, metric])
    _mark(ax, limit, limits, sure)
    ax.set_xlabel(f"Limit: {kind.axis_label}")
    ax.set_ylabel("Confidence that it holds, %")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_number(value * 100)))
    ax.set_ylim(-0.09, 1.09)
    where = "all requests" if endpoint == AGGREGATED else plain(endpoint, 40)
    side = "above" if kind.better > 0 else "below"
    holds = kind.format(float(table.loc[table["confidence"] == SURE, "limit"].iloc[0]))
    runs = counted(int(table["runs"].iloc[0]), "run")
    titled(
        ax,
        f"{kind.label} of {where} {side} {holds} would hold with {format_fraction(SURE)} confidence",
        f"{runs} (squares); curve: one-sided confidence; dotted: where check() decides",
    )
    return ax


def _share(warmup: float | str | None) -> float:
    return estimates.DEFAULT_WARMUP if warmup is None else parse_fraction(warmup, parameter="warmup")


def _curve(ax: Axes, limits: Floats, sure: Floats, limit: float | None) -> None:
    """Draw confidence over the limits, flat beyond them up to the chosen limit."""
    shown = [limits.min(), limits.max(), *([limit] if limit is not None else [])]
    room = (max(shown) - min(shown)) * 0.04 or max(max(shown) * 0.1, 1e-9)
    left, right = max(0.0, min(shown) - room), max(shown) + room
    along, heights = np.concatenate([[left], limits, [right]]), np.concatenate([sure[:1], sure, sure[-1:]])
    ax.plot(along, heights, color=STYLES[1][0], linewidth=2.4, zorder=4)
    ax.set_xlim(left, right)


def _levels(ax: Axes) -> None:
    for level, word, at in ((SURE, "check: holds", "left"), (1 - SURE, "check: fails", "left")):
        ax.axhline(level, color=GREY, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
        x, above = (0 if at == "left" else 1), (2 if level == SURE else 4)
        ax.annotate(word, (x, level), xycoords=("axes fraction", "data"), xytext=(4 - 8 * x, above), ha=at,
                    textcoords="offset points", va="bottom", fontsize=8.5, color=GREY)  # fmt: skip


def _runs(ax: Axes, values: pd.Series) -> None:
    colour, _, marker = STYLES[1]
    ax.plot(values, np.full(len(values), -0.01), linestyle="none", marker=marker, markersize=7, color=colour, zorder=5,
            markeredgecolor="white")  # fmt: skip


def _mark(ax: Axes, limit: float | None, limits: Floats, sure: Floats) -> None:
    """Mark the chosen limit and its confidence."""
    if limit is None:
        return
    there = float(np.interp(limit, limits, sure))
    low, high = ax.get_xlim()
    at_right = limit > low + 0.8 * (high - low)
    ax.axvline(limit, color=STYLES[0][0], linewidth=1.6, linestyle=STYLES[1][1], zorder=3)
    ax.annotate(format_fraction(there), (limit, there), xytext=(-6 if at_right else 6, -4), textcoords="offset points",
                fontsize=9.5, color=STYLES[0][0], fontweight="bold", va="top", ha="right" if at_right else "left")  # fmt: skip
