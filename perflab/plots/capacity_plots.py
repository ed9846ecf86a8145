"""Latency and throughput against the offered rate: `plot_capacity`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from perflab.loadtest.capacity import Capacity
from perflab.plots.drawing import GREY, axes, log_axis, titled
from perflab.plots.palette import BLUE, INK, VERMILION
from perflab.units import format_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HELD, _FAILED = BLUE, VERMILION


def plot_capacity(capacity: Capacity, *, ax: Axes | None = None) -> Axes:
    """Draw p95 at each offered rate, the steps that held the objective, and the bracket of the limit.

    Parameters
    ----------
    capacity : Capacity
        From `find_capacity`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: offered arrivals per second; y: p95 in ms (log). Circles held the objective, crosses did not, the grey band
        contains the limit; throughput that fell short of the offered rate is written next to the mark.

    >>> lab.plots.plot_capacity(found)  # doctest: +SKIP
    """
    ax = axes(ax)
    table = capacity.table
    decided = table[table["holds"].notna()]
    held = decided["holds"].astype(bool)
    order = decided.sort_values("rate")
    ax.plot(order["rate"], order["p95_ms"], color=GREY, linewidth=1, zorder=1)
    for rows, marker, colour, label in (
        (decided[held], "o", _HELD, "objective held"),
        (decided[~held], "X", _FAILED, "objective missed"),
    ):
        if len(rows):
            ax.plot(rows["rate"], rows["p95_ms"], linestyle="none", marker=marker, markersize=8, color=colour,
                    markeredgecolor="white", label=label, zorder=3)  # fmt: skip
    for row in decided[decided["throughput_per_s"] < 0.95 * decided["rate"]].itertuples():
        ax.annotate(f"throughput {format_rate(row.throughput_per_s)}", (row.rate, row.p95_ms), xytext=(-8, 0),
                    textcoords="offset points", ha="right", va="center", fontsize=8.5, color=GREY)  # fmt: skip
    for goal in capacity.goals:
        if goal.unit == "ms":
            ax.axhline(goal.bound, color=INK, linestyle=":", linewidth=1.2, label=f"objective: {goal}")
    if capacity.low and math.isfinite(capacity.high):
        ax.axvspan(capacity.low, capacity.high, color=GREY, alpha=0.2, linewidth=0)
    log_axis(ax.yaxis, "p95, ms (log scale)")
    ax.set_xlim(0, float(np.max(table["rate"])) * 1.08)
    ax.set_xlabel("Offered rate, arrivals/s")
    ax.legend(loc="best", frameon=False)
    titled(ax, capacity.sentence[:1].upper() + capacity.sentence[1:], "a mark per run at a constant rate (open model)")
    return ax
