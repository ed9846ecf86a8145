"""A metric of every run, the runs of a pair joined."""

from __future__ import annotations

from collections.abc import Callable

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
    log_axis,
    read_as,
    requests_of,
    titled,
)
from perflab.stats import estimates
from perflab.units import format_fraction, format_ms, format_rate, parse_fraction


def plot_pairs(
    before: Measurements,
    after: Measurements,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    *,
    warmup: str | float = "10%",
    ax: Axes | None = None,
) -> Axes:
    """The metric of every run in the order they ran, the runs of a pair joined.

    Parameters
    ----------
    before, after : the runs of the two arms, as `run_pairs` returns them. Without a ``pair`` column nothing is joined.
    metric : "p95" or any "p<q>", "mean", "throughput_per_s" or "error_fraction".
    endpoint : one endpoint, or all of them ("Aggregated").
    warmup : the share of each run's time that is left out at its start, as `compare` does.
    ax : Axes to draw on; a new figure if not given.

    Returns
    -------
    Axes. x: the order of the runs; y: the metric with its unit; horizontal lines: each arm's median.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> before, after = runs.where(arm="n+1"), runs.where(arm="eager")
    >>> lab.plot_pairs(before, after, endpoint="GET /orders").get_xlabel()
    'Runs in the order they ran'
    """
    arms = arms_of([before, after])
    if len(arms) != 2:
        raise ValueError(f"before and after must hold one arm each; got {', '.join(a.label for a in arms)}")
    write, label = metric_words(metric)
    share = parse_fraction(warmup, parameter="warmup")
    points = pd.concat([_metric_by_run(arm, metric, endpoint, share).assign(side=i) for i, arm in enumerate(arms)])
    points = points.sort_values(["start", "side"], kind="stable").assign(slot=np.arange(1, len(points) + 1))
    ax = axes(ax)
    for _, pair in points.dropna(subset="pair").groupby("pair"):
        if pair["side"].nunique() == 2:
            ax.plot(pair["slot"], pair["value"], color=GREY, linewidth=1.0, alpha=0.7, zorder=2)
    medians = []
    for side, arm in enumerate(arms):
        own = points[points["side"] == side]
        medians.append(float(own["value"].median()))
        ax.axhline(medians[-1], color=arm.colour, linestyle=arm.dashes, linewidth=1.2, alpha=0.8, zorder=1)
        ax.plot(own["slot"], own["value"], linestyle="none", marker=arm.marker, markersize=8, color=arm.colour,
                markeredgecolor="white", label=f"{arm.label} (line: median)", zorder=3)  # fmt: skip
    low, high = points["value"].min(), points["value"].max()
    if metric not in ("error_fraction",) and low > 0 and high / low > 3:
        log_axis(ax.yaxis, f"{label} (log scale)")
    else:
        ax.set_ylabel(label)
        ax.margins(y=0.15)
    ax.set_xlabel("Runs in the order they ran", loc="left")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Below the axes, where it hides no run.
    ax.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, -0.07), ncols=2, numpoints=1)
    joined = int(points.dropna(subset="pair").groupby("pair")["side"].nunique().eq(2).sum())
    how = f"{counted(joined, 'pair')}, joined" if joined else "not paired"
    titled(ax, finding(metric, endpoint, arms, medians, write), read_as(arms, warmup, f"each mark is a run; {how}"))
    return ax


def metric_words(metric: str) -> tuple[Callable[[float], str], str]:
    """How to write a value of the metric, and the label of its axis; ValueError for no metric at all."""
    Metric.of(metric)
    if metric == "throughput_per_s":
        return format_rate, "Throughput, requests/s"
    if metric == "error_fraction":
        return format_fraction, "Failed requests, share of 1"
    return format_ms, f"{metric} latency, ms"


def _metric_by_run(arm: Arm, metric: str, endpoint: str, share: float) -> pd.DataFrame:
    requests_of(arm, endpoint)
    values = estimates.by_run(arm.data, [metric], warmup=share)
    values = values[values["endpoint"] == endpoint].set_index("run")[metric]
    runs = arm.data.runs.set_index("run")
    pair = runs["pair"] if "pair" in runs else pd.Series(pd.NA, index=runs.index)
    frame = pd.DataFrame({"value": values, "start": runs["start"], "pair": pair}).dropna(subset="value")
    return frame.rename_axis("run").reset_index()
