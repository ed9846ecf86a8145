"""A comparison: every run, the effect with its interval, and the tolerance; and the shift of all quantiles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from perflab.metrics import Metric
from perflab.plots.drawing import GREY, STYLES, axes, metric_axis, of_endpoint, plain, titled
from perflab.plots.palette import BLUE, GREEN, INK, VERMILION
from perflab.stats.change import Change
from perflab.stats.shift import Shift

_EFFECT = 1.75
_COLOURS = {"improved": GREEN, "regressed": VERMILION, "equivalent": BLUE, "inconclusive": GREY}
_TICKS = (5, 10, 25, 50, 75, 90, 95, 99, 99.9)


def plot_comparison(
    change: Change, endpoint: str | None = None, metric: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw every run of a comparison, with pairs joined, and the effect with its interval and the tolerance.

    Parameters
    ----------
    change : Change
        The result of `compare`.
    endpoint, metric : str
        A row of its table; by default the deciding one.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: the two arms, then the effect; y: the metric with its unit, and on the right the change from the baseline. The
        grey band is the tolerance around the baseline: an effect whose interval lies within it is equivalent.

    Raises
    ------
    ValueError
        The endpoint or metric was not compared.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> change = lab.compare(runs.where(arm="n+1"), runs.where(arm="eager"), primary="GET /orders")
    >>> lab.plot_comparison(change).get_ylabel()
    'p95, ms (log scale)'
    """
    row = change.row_of(endpoint, metric)
    values = change.values[(change.values["endpoint"] == row["endpoint"]) & (change.values["metric"] == row["metric"])]
    values = values.dropna(subset="value")
    kind = Metric.of(row["metric"])
    sides = [values[values["arm"] == arm].sort_values(["pair", "run"]) for arm in change.arms]
    centres = [float(row[side]) for side in ("baseline", "candidate")]
    fresh = ax is None
    ax = axes(ax, height=4.6)
    if fresh:
        ax.figure.subplots_adjust(right=0.87)
    _runs(ax, sides, change.arms, centres, joined=bool(change.design and change.design.paired))
    base = centres[0]
    margin = change.tolerance if kind.relative else change.error_tolerance
    if np.isfinite(base):
        low, high = (base / (1 + margin), base * (1 + margin)) if kind.relative else (base - margin, base + margin)
        ax.axhspan(low, high, color="#BBBBBB", alpha=0.35, linewidth=0, zorder=0)
        ax.axhline(base, color=STYLES[0][0], linewidth=1, linestyle=":", zorder=1)
        _effect(ax, row, base, kind)
    _scales(ax, kind, values["value"], base)
    ax.set_xlim(-0.45, 2.15)
    ax.set_xticks([0, 1, _EFFECT], [*(plain(arm, 24) for arm in change.arms), "effect"])
    ax.grid(False, axis="x")
    _titles(ax, change, row, kind, margin)
    return ax


def _runs(ax: Axes, sides: list[pd.DataFrame], arms: tuple[str, str], centres: list[float], *, joined: bool) -> None:
    if joined:
        both = sides[0].merge(sides[1], on="pair", suffixes=("_first", "_second"))
        for pair in both.itertuples():
            ax.plot([0, 1], [pair.value_first, pair.value_second], color=GREY, linewidth=0.9, alpha=0.65, zorder=2)
    for place, (side, arm, centre) in enumerate(zip(sides, arms, centres, strict=True)):
        colour, _, marker = STYLES[place]
        # Unpaired runs are offset a little, so that equal ones do not overlap.
        spread = np.zeros(len(side)) if joined else np.linspace(-0.1, 0.1, len(side)) if len(side) > 1 else np.zeros(1)
        ax.plot(place + spread, side["value"], linestyle="none", marker=marker, markersize=7, color=colour,
                markeredgecolor="white", alpha=0.9, label=plain(arm, 40), zorder=3)  # fmt: skip
        if np.isfinite(centre):
            ax.plot([place - 0.2, place + 0.2], [centre, centre], color=colour, linewidth=2.2, zorder=2.5)


def _effect(ax: Axes, row: pd.Series, base: float, kind: Metric) -> None:
    def at(change: float) -> float:
        return base * (1 + change) if kind.relative else base + change

    if row["change"] != row["change"]:
        return
    colour = _COLOURS[row["verdict"]]
    if row["change_low"] == row["change_low"]:
        low, high = at(row["change_low"]), at(row["change_high"])
        ax.plot([_EFFECT, _EFFECT], [low, high], color=colour, linewidth=3, solid_capstyle="butt", zorder=4)
        for end in (low, high):
            ax.plot([_EFFECT - 0.06, _EFFECT + 0.06], [end, end], color=colour, linewidth=1.5, zorder=4)
    ax.plot([_EFFECT], [at(row["change"])], marker="o", markersize=9, color=colour, markeredgecolor="white", zorder=5)


def _scales(ax: Axes, kind: Metric, values: pd.Series, base: float) -> None:
    metric_axis(ax, kind, values)
    if not np.isfinite(base) or base <= 0 or not kind.relative:
        return
    right = ax.secondary_yaxis(
        "right", functions=(lambda value: np.divide(value, base), lambda ratio: np.multiply(ratio, base))
    )
    if ax.get_yscale() == "log":
        right.set_yscale("log")
        right.yaxis.set_major_locator(FixedLocator([0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20]))
        right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: kind.format_change(float(f"{ratio - 1:.6f}"))))
    right.set_ylabel("Change from the baseline")
    right.spines["right"].set_visible(False)


def _titles(ax: Axes, change: Change, row: pd.Series, kind: Metric, margin: float) -> None:
    arms = f"{kind.format(row['baseline'])} → {kind.format(row['candidate'])}"
    known = row["change_low"] == row["change_low"]
    size = kind.format_change(row["change"])
    size += f" ({kind.interval(row['change_low'], row['change_high'])})" if known else ""
    counted = f"{change.design.counted}; " if change.design else ""
    detail = f"{counted}a mark per run; effect with 95 % interval; grey: tolerance of {kind.format_size(margin)}"
    titled(ax, f"{kind.label} of {of_endpoint(row['endpoint'])}: {arms}, {size}, {row['verdict']}", detail)


def plot_quantile_shift(shift: Shift, *, ax: Axes | None = None) -> Axes:
    """Draw how much every quantile moved, with a simultaneous band.

    Parameters
    ----------
    shift : Shift
        The result of `quantile_shift`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: the quantiles, stretched towards both ends; y: the change in per cent. The grey band is simultaneous, lines are
        each quantile's own 95 % interval, and marks are coloured where the band excludes no change.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> shift = lab.quantile_shift(runs.where(arm="n+1"), runs.where(arm="eager"))
    >>> lab.plots.plot_quantile_shift(shift).get_xlabel()
    'Quantile of the latencies'
    """
    table = shift.table
    ax = axes(ax)
    x = table["quantile"].to_numpy()
    ax.fill_between(
        x,
        table["band_low"],
        table["band_high"],
        color="#BBBBBB",
        alpha=0.4,
        linewidth=0,
        label="95 % band, simultaneous",
    )
    ax.axhline(0, color=INK, linewidth=0.9, zorder=1)
    ax.vlines(x, table["low"], table["high"], color=GREY, linewidth=1.2, zorder=2, label="95 % interval, pointwise")
    ax.plot(x, table["change"], color=GREY, linewidth=1, zorder=2)
    certain = np.select([table["band_high"] < 0, table["band_low"] > 0], ["improved", "regressed"], "inconclusive")
    names = {"improved": "lower", "regressed": "higher", "inconclusive": "inconclusive"}
    for word, marker in (("improved", "o"), ("regressed", "s"), ("inconclusive", "D")):
        chosen = certain == word
        if chosen.any():
            ax.plot(x[chosen], table["change"][chosen], linestyle="none", marker=marker, markersize=6.5, color=_COLOURS[word],
                    markeredgecolor="white", label=names[word], zorder=3)  # fmt: skip
    ax.set_xscale("logit")
    format_change = Metric.of("mean").format_change
    ticks = [t / 100 for t in _TICKS if x.min() - 1e-9 <= t / 100 <= x.max() + 1e-9]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _name(value)))
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: format_change(float(f"{value:.6f}")).removesuffix(" %"))
    )
    ax.set_xlabel("Quantile of the latencies")
    ax.set_ylabel(f"Change from {plain(shift.arms[0], 24)} to {plain(shift.arms[1], 24)}, %")
    ax.legend(frameon=False, loc="best", fontsize=8.5)
    lower, higher = int((certain == "improved").sum()), int((certain == "regressed").sum())
    found = f"{lower} lower, {higher} higher, {len(table) - lower - higher} inconclusive"
    titled(ax, f"Latency of {of_endpoint(shift.endpoint)}, quantile by quantile: {found}",
           f"{len(table)} quantiles from {_name(x.min())} to {_name(x.max())}; band: 95 %, simultaneous")  # fmt: skip
    return ax


def _name(share: float) -> str:
    return f"p{share * 100:g}"
