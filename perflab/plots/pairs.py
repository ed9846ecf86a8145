"""A metric of every run, with pairs joined."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Metric
from perflab.plots.drawing import (
    GREY,
    Arm,
    arms_of,
    axes,
    counted,
    finding,
    metric_axis,
    read_as,
    titled,
    usual_warmup,
    values_by_run,
)
from perflab.stats import visits


def plot_pairs(
    before: Measurements,
    after: Measurements,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    *,
    warmup: str | float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the metric of every run in run order, with the runs of a pair joined.

    Parameters
    ----------
    before, after : Measurements
        The runs of the two arms, as `run_pairs` returns them. Without a ``pair`` column nothing is joined.
    metric : str
        "p95" or any ``"p<q>"``, "mean", "throughput_per_s", "error_fraction", or a metric of pages such as "lcp".
    endpoint : str
        One endpoint, or all of them ("Aggregated").
    warmup : str or float
        The share of each run to leave out at its start; by default the plan's, or 10 %, as in `compare`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: the order of the runs; y: the metric with its unit; horizontal lines: the mean of each arm's runs (geometric for
        latencies and throughput), as reported by `compare`.

    Raises
    ------
    ValueError
        A side does not have exactly one arm, or an argument is invalid.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> before, after = runs.where(arm="n+1"), runs.where(arm="eager")
    >>> lab.plot_pairs(before, after, endpoint="GET /orders").get_xlabel()
    'Runs in the order they ran'
    """
    kind = Metric.of(metric)
    pages = visits.of_pages([kind])
    arms = arms_of([visits.as_requests(side) if pages else side for side in (before, after)])
    if len(arms) != 2:
        raise ValueError(f"before and after must hold one arm each; got {', '.join(a.label for a in arms)}")
    warmup = 0.0 if pages else usual_warmup(arms, warmup)
    tables = visits.on_common_pages(tuple(values_by_run(arm, kind, endpoint, warmup) for arm in arms), [kind])
    each = zip(arms, tables, strict=True)
    points = pd.concat([_by_run(arm, table, kind, endpoint).assign(side=i) for i, (arm, table) in enumerate(each)])
    points = points.sort_values(["start", "side"], kind="stable").assign(slot=np.arange(1, len(points) + 1))
    ax = axes(ax)
    for _, pair in points.dropna(subset="pair").groupby("pair"):
        if pair["side"].nunique() == 2:
            ax.plot(pair["slot"], pair["value"], color=GREY, linewidth=1.0, alpha=0.7, zorder=2)
    marks = []
    for side, arm in enumerate(arms):
        own = points[points["side"] == side]
        marks.append(kind.typical(own["value"].to_numpy(dtype="float64")))
        ax.axhline(marks[-1], color=arm.colour, linestyle=arm.dashes, linewidth=1.2, alpha=0.8, zorder=1)
        ax.plot(own["slot"], own["value"], linestyle="none", marker=arm.marker, markersize=8, color=arm.colour,
                markeredgecolor="white", label=f"{arm.label} (line: mean of the runs)", zorder=3)  # fmt: skip
    metric_axis(ax, kind, points["value"])
    ax.set_xlabel("Runs in the order they ran", loc="left")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Below the axes, where it hides no run.
    ax.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, -0.07), ncols=2, numpoints=1)
    joined = int(points.dropna(subset="pair").groupby("pair")["side"].nunique().eq(2).sum())
    how = f"{counted(joined, 'pair')}, joined" if joined else "not paired"
    titled(ax, finding(kind, endpoint, arms, marks), read_as(arms, warmup, f"a mark per run; {how}"))
    return ax


def _by_run(arm: Arm, table: pd.DataFrame, metric: Metric, endpoint: str) -> pd.DataFrame:
    runs = arm.data.runs.set_index("run")
    pair = runs["pair"] if "pair" in runs else pd.Series(pd.NA, index=runs.index)
    values = table[table["endpoint"] == endpoint].set_index("run")[metric.name]
    frame = pd.DataFrame({"value": values, "start": runs["start"], "pair": pair}).dropna(subset="value")
    return frame.rename_axis("run").reset_index()
