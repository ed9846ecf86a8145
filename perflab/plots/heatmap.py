"""How many requests took how long at which time: nothing is averaged away."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.ticker import FuncFormatter

from perflab.plots.drawing import (
    arms_of,
    axes,
    by_run,
    finding,
    log_axis,
    quantile_of,
    quantiles,
    read_as,
    requests_of,
    seconds_since_start,
    titled,
)
from perflab.tables import AGGREGATED, Measurements
from perflab.units import format_number

_BLUES = LinearSegmentedColormap.from_list("perflab", ["#9ecae1", "#4292c6", "#084594", "#041f45"])
"""Light to dark, and dark enough at its light end for a single request to be seen on white."""


def plot_heatmap(
    measurements: Measurements,
    *,
    endpoint: str = AGGREGATED,
    percentile: float = 95,
    bins: tuple[int, int] = (60, 40),
    ax: Axes | None = None,
) -> Axes:
    """Requests by latency and time since their run's start, all runs of one arm together.

    Parameters
    ----------
    measurements : runs of one arm.
    endpoint : one endpoint, or all of them ("Aggregated").
    percentile : named in the title: the median of the runs' own.
    bins : slices of time, and of latency (equally wide on the log scale).
    ax : Axes to draw on; a new figure if not given.

    Returns
    -------
    Axes. x: seconds; y: latency in ms (log); colour: requests (log), so that a single slow request is still seen.

    Raises
    ------
    ValueError : more than one arm (choose one with ``.where(arm=...)``), or no request to that endpoint.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> lab.plot_heatmap(runs.where(arm="eager"), endpoint="GET /orders").get_xlabel()
    "Time since the run's start, s"
    """
    q = quantile_of(percentile)
    arms = arms_of([measurements])
    if len(arms) != 1:
        raise ValueError(
            f"measurements must hold one arm (use .where(arm=...)); got {', '.join(a.label for a in arms)}"
        )
    requests = requests_of(arms[0], endpoint)
    seconds = seconds_since_start(requests, "start", measurements.runs)
    latency = np.maximum(requests["latency_ms"].to_numpy(), 1e-3)
    low, high = latency.min(), max(latency.max(), latency.min() * 1.01)
    edges = np.geomspace(low * (1 - 1e-9), high * (1 + 1e-9), bins[1] + 1)
    counts, x, y = np.histogram2d(seconds, latency, [np.linspace(0, max(seconds.max(), 1e-3), bins[0] + 1), edges])
    ax = axes(ax)
    most = max(2.0, counts.max())
    mesh = ax.pcolormesh(x, y, np.ma.masked_equal(counts.T, 0), cmap=_BLUES, norm=LogNorm(1, most), rasterized=True)
    log_axis(ax.yaxis, "Latency, ms (log scale)")
    ax.set_xlabel("Time since the run's start, s")
    numbers = FuncFormatter(lambda count, _: format_number(count))
    ax.get_figure().colorbar(mesh, ax=ax, label="Requests (log scale)", pad=0.01, format=numbers)  # type: ignore[union-attr]
    marks = [float(np.median([quantiles(v, q) for v in by_run(requests, "latency_ms").values()]))]
    titled(ax, finding(f"p{percentile:g}", endpoint, arms, marks), read_as(arms, 0, "white: no request"))
    return ax
