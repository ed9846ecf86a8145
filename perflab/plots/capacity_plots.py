"""How latency and throughput follow the offered rate: `plot_capacity`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from perflab.loadtest.capacity import Capacity
from perflab.plots.drawing import GREY, axes, log_axis, titled
from perflab.units import format_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HELD, _FAILED = "#0072b2", "#d55e00"


def plot_capacity(capacity: Capacity, *, ax: Axes | None = None) -> Axes:
    """p95 at each offered rate, which steps held the objective, and the bracket of the knee.

    Parameters
    ----------
    capacity : from `find_capacity`.
    ax : Axes to draw on; a new figure if not given.

    Returns
    -------
    Axes. x: arrivals a second that were offered; y: p95 latency in ms (log). Circles held, crosses did not, the grey
    band is where the limit lies; the numbers are the throughput that was answered, where it fell short.

    >>> lab.plot_capacity(found)  # doctest: +SKIP
    """
    ax = axes(ax)
    table = capacity.table
    told = table[table["holds"].notna()]
    held = told["holds"].astype(bool)
    order = told.sort_values("rate")
    ax.plot(order["rate"], order["p95_ms"], color=GREY, linewidth=1, zorder=1)
    for rows, marker, colour, label in (
        (told[held], "o", _HELD, "objective held"),
        (told[~held], "X", _FAILED, "did not hold"),
    ):
        if len(rows):
            ax.plot(rows["rate"], rows["p95_ms"], linestyle="none", marker=marker, markersize=8, color=colour,
                    markeredgecolor="white", label=label, zorder=3)  # fmt: skip
    for row in told[told["throughput_per_s"] < 0.95 * told["rate"]].itertuples():
        ax.annotate(f"answered {format_rate(row.throughput_per_s)}", (row.rate, row.p95_ms), xytext=(-8, 0),
                    textcoords="offset points", ha="right", va="center", fontsize=8.5, color=GREY)  # fmt: skip
    for goal in capacity.goals:
        if goal.unit == "ms":
            ax.axhline(goal.bound, color="black", linestyle=":", linewidth=1.2, label=f"goal: {goal}")
    if capacity.low and math.isfinite(capacity.high):
        ax.axvspan(capacity.low, capacity.high, color=GREY, alpha=0.2, linewidth=0)
    log_axis(ax.yaxis, "p95 latency, ms (log scale)")
    ax.set_xlim(0, float(np.max(table["rate"])) * 1.08)
    ax.set_xlabel("Offered rate, arrivals/s")
    ax.legend(loc="best", framealpha=0.85, edgecolor="none")
    titled(
        ax, capacity.sentence[:1].upper() + capacity.sentence[1:], "each mark is a run at a constant rate (open model)"
    )
    return ax
