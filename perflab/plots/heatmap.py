"""The number of requests by latency and time: nothing is averaged away."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.ticker import FuncFormatter

from perflab.data.tables import AGGREGATED, Measurements
from perflab.plots.drawing import (
    LOWEST_MS,
    STYLES,
    Floats,
    arms_of,
    axes,
    finding,
    latencies_of,
    log_axis,
    metric_of,
    pieces_of,
    quantiles,
    read_as,
    titled,
    usual_warmup,
)
from perflab.plots.palette import BLUE
from perflab.units import format_fraction, format_number

_BLUES = LinearSegmentedColormap.from_list("perflab", ["#7CB8E8", BLUE, "#9A3FA8"])
"""Few to many: both ends show on white and on a dark page."""


def plot_heatmap(
    measurements: Measurements,
    *,
    endpoint: str = AGGREGATED,
    percentile: float = 95,
    bins: tuple[int, int] = (60, 40),
    ax: Axes | None = None,
) -> Axes:
    """Draw requests by latency and time since their run's start, with all runs of one arm together.

    Parameters
    ----------
    measurements : Measurements
        Runs of one arm.
    endpoint : str
        One endpoint, or all of them ("Aggregated").
    percentile : float
        The horizontal line, named in the title; after the warm-up, as in `compare`.
    bins : tuple of int
        The number of bins in time, and in latency (of equal width on the log scale).
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: seconds; y: latency in ms (log); colour: requests (log), so that a single slow request is still visible.

    Raises
    ------
    ValueError
        There is more than one arm (choose one with ``.where(arm=...)``), or no request to that endpoint.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> lab.plots.plot_heatmap(runs.where(arm="eager"), endpoint="GET /orders").get_xlabel()
    "Time since the run's start, s"
    """
    metric, q = metric_of(percentile)
    arms = arms_of([measurements], latencies=True)
    if len(arms) != 1:
        raise ValueError(
            f"measurements must hold one arm (use .where(arm=...)); got {', '.join(a.label for a in arms)}"
        )
    pieces = pieces_of(arms[0], endpoint)
    ends = np.array([(own.min(), own.max(), at.max()) for own, at in map(_latencies, pieces())])
    low, last = ends[:, 0].min(), ends[:, 2].max()
    high = max(ends[:, 1].max(), low * 1.01)
    x = np.linspace(0, max(last, 1e-3), bins[0] + 1)
    y = np.geomspace(low * (1 - 1e-9), high * (1 + 1e-9), bins[1] + 1)
    counts = np.zeros(bins)
    for own, at in map(_latencies, pieces()):
        counts += counted_requests(at, own, x, y)
    ax = axes(ax)
    most = max(2.0, counts.max())
    mesh = ax.pcolormesh(x, y, np.ma.masked_equal(counts.T, 0), cmap=_BLUES, norm=LogNorm(1, most), rasterized=True)
    log_axis(ax.yaxis, "Latency, ms (log scale)")
    ax.set_xlabel("Time since the run's start, s")
    numbers = FuncFormatter(lambda count, _: format_number(count))
    ax.get_figure().colorbar(mesh, ax=ax, label="Requests (log scale)", pad=0.01, format=numbers)  # type: ignore[union-attr]
    warmup = usual_warmup(arms, None)
    mark = metric.typical(np.array([quantiles(v, q) for v in latencies_of(arms[0], endpoint, warmup).values()]))
    ax.axhline(max(mark, LOWEST_MS), color=STYLES[0][0], linewidth=1.2, linestyle=(0, (4, 2)))
    how = f"blank: no request; line: {metric.label} after the warm-up ({format_fraction(float(warmup))})"
    titled(ax, finding(metric, endpoint, arms, [mark]), read_as(arms, 0, how))
    return ax


def _latencies(piece: tuple[pd.DataFrame, Floats]) -> tuple[Floats, Floats]:
    """The latencies as drawn, and their times."""
    return np.maximum(piece[0]["latency_ms"].to_numpy(), LOWEST_MS), piece[1]


def counted_requests(seconds: Floats, latency: Floats, x: Floats, y: Floats) -> Floats:
    """Count requests in each cell of a grid of equal steps in time (``x``) and in log latency (``y``).

    numpy's histogram2d searches each request among arbitrary edges, which takes four times as long.
    """
    columns, rows = len(x) - 1, len(y) - 1
    column = ((seconds - x[0]) / (x[-1] - x[0]) * columns).astype("int64")
    row = (np.log(latency / y[0]) * (rows / np.log(y[-1] / y[0]))).astype("int64")
    inside = (column >= 0) & (row >= 0) & (seconds <= x[-1])
    cell = np.minimum(column, columns - 1) * rows + np.minimum(row, rows - 1)
    counts: Floats = np.bincount(cell[inside], minlength=columns * rows).reshape(columns, rows).astype("float64")
    return counts
