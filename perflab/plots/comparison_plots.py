"""A change as it was decided: every run, the effect with its interval, and the tolerance; and the shift of all quantiles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from perflab.data.tables import AGGREGATED
from perflab.metrics import Metric
from perflab.plots.drawing import GREY, STYLES, axes, log_axis, plain, titled
from perflab.stats.change import Change
from perflab.stats.shift import Shift
from perflab.units import format_number

_EFFECT = 1.75
_COLOURS = {"improved": "#009E73", "regressed": "#D55E00", "equivalent": "#0072B2", "inconclusive": GREY}
_TICKS = (5, 10, 25, 50, 75, 90, 95, 99, 99.9)


def plot_comparison(
    change: Change, endpoint: str | None = None, metric: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """Every run of a comparison, the pairs joined, beside the effect with its interval and the tolerance.

    Parameters
    ----------
    change : what `compare` returned.
    endpoint, metric : a row of its table; the deciding one if not given.
    ax : Axes to draw on; a new figure if not given.

    Returns
    -------
    Axes. x: the two arms, then the effect; y: the metric with its unit, and the same as a change from the baseline's mean
    at the right. The grey band is the tolerance around the baseline: an interval that lies within it is equivalent.

    Raises
    ------
    ValueError : an endpoint or metric that was not compared.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> change = lab.compare(runs.where(arm="n+1"), runs.where(arm="eager"), primary="GET /orders")
    >>> lab.plot_comparison(change).get_ylabel()
    'p95 latency, ms (log scale)'
    """
    row = change.row_of(endpoint, metric)
    values = change.values[(change.values["endpoint"] == row["endpoint"]) & (change.values["metric"] == row["metric"])]
    values = values.dropna(subset="value")
    absolute = row["metric"] == "error_fraction"
    sides = [values[values["arm"] == arm].sort_values(["pair", "run"]) for arm in change.arms]
    centres = [_centre(side["value"], absolute=absolute) for side in sides]
    fresh = ax is None
    ax = axes(ax, height=4.6)
    if fresh:
        ax.figure.subplots_adjust(right=0.87)
    _runs(ax, sides, change.arms, centres, joined=bool(change.design and change.design.paired))
    base = centres[0]
    margin = change.error_tolerance if absolute else change.tolerance
    if np.isfinite(base):
        low, high = (base - margin, base + margin) if absolute else (base / (1 + margin), base * (1 + margin))
        ax.axhspan(low, high, color="#BBBBBB", alpha=0.35, linewidth=0, zorder=0)
        ax.axhline(base, color=STYLES[0][0], linewidth=1, linestyle=":", zorder=1)
        _effect(ax, row, base, absolute=absolute)
    _scales(ax, row, values["value"], base, absolute=absolute)
    ax.set_xlim(-0.45, 2.15)
    ax.set_xticks([0, 1, _EFFECT], [*(plain(arm, 24) for arm in change.arms), "effect"])
    ax.grid(False, axis="x")
    _titles(ax, change, row, margin, absolute=absolute)
    return ax


def _centre(values: pd.Series, *, absolute: bool) -> float:
    """The mean on the scale of the analysis: geometric for ratios."""
    numbers = values.to_numpy(dtype="float64")
    if absolute or not len(numbers) or (numbers <= 0).any():
        return float(numbers.mean()) if len(numbers) else float("nan")
    return float(np.exp(np.log(numbers).mean()))


def _runs(ax: Axes, sides: list[pd.DataFrame], arms: tuple[str, str], centres: list[float], *, joined: bool) -> None:
    if joined:
        both = sides[0].merge(sides[1], on="pair", suffixes=("_first", "_second"))
        for pair in both.itertuples():
            ax.plot([0, 1], [pair.value_first, pair.value_second], color=GREY, linewidth=0.9, alpha=0.65, zorder=2)
    for place, (side, arm, centre) in enumerate(zip(sides, arms, centres, strict=True)):
        colour, _, marker = STYLES[place]
        # Runs that are not joined are spread a little, so that equal ones can be told apart.
        spread = np.zeros(len(side)) if joined else np.linspace(-0.1, 0.1, len(side)) if len(side) > 1 else np.zeros(1)
        ax.plot(place + spread, side["value"], linestyle="none", marker=marker, markersize=7, color=colour,
                markeredgecolor="white", alpha=0.9, label=plain(arm, 40), zorder=3)  # fmt: skip
        if np.isfinite(centre):
            ax.plot([place - 0.2, place + 0.2], [centre, centre], color=colour, linewidth=2.2, zorder=2.5)


def _effect(ax: Axes, row: pd.Series, base: float, *, absolute: bool) -> None:
    def at(change: float) -> float:
        return base + change if absolute else base * (1 + change)

    if row["change"] != row["change"]:
        return
    colour = _COLOURS[row["verdict"]]
    if row["change_low"] == row["change_low"]:
        low, high = at(row["change_low"]), at(row["change_high"])
        ax.plot([_EFFECT, _EFFECT], [low, high], color=colour, linewidth=3, solid_capstyle="butt", zorder=4)
        for end in (low, high):
            ax.plot([_EFFECT - 0.06, _EFFECT + 0.06], [end, end], color=colour, linewidth=1.5, zorder=4)
    ax.plot([_EFFECT], [at(row["change"])], marker="o", markersize=9, color=colour, markeredgecolor="white", zorder=5)


def _scales(ax: Axes, row: pd.Series, values: pd.Series, base: float, *, absolute: bool) -> None:
    label = {"throughput_per_s": "Throughput, requests/s", "error_fraction": "Failed requests, %"}.get(
        row["metric"], f"{row['metric']} latency, ms"
    )
    low, high = float(values.min()), float(values.max())
    if not absolute and low > 0 and high / low > 3:
        log_axis(ax.yaxis, f"{label} (log scale)")
    else:
        ax.set_ylabel(label)
        ax.margins(y=0.15)
    if absolute:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_number(float(f"{value * 100:.3g}"))))
        ax.set_ylim(bottom=min(ax.get_ylim()[0], 0.0))
    if not np.isfinite(base) or base <= 0 or absolute:
        return
    right = ax.secondary_yaxis(
        "right", functions=(lambda value: np.divide(value, base), lambda ratio: np.multiply(ratio, base))
    )
    if ax.get_yscale() == "log":
        right.set_yscale("log")
        right.yaxis.set_major_locator(FixedLocator([0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20]))
        right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter(
        FuncFormatter(lambda ratio, _: Metric.of("p50").format_change(float(f"{ratio - 1:.6f}")))
    )
    right.set_ylabel("Change from the baseline")
    right.spines["right"].set_visible(False)


def _titles(ax: Axes, change: Change, row: pd.Series, margin: float, *, absolute: bool) -> None:
    where = "all requests" if row["endpoint"] == AGGREGATED else plain(row["endpoint"], 40)
    name = row["metric"].replace("_", " ").removesuffix(" per s")
    metric = Metric.of(row["metric"])
    size, interval = metric.format_change(row["change"]), metric.interval(row["change_low"], row["change_high"])
    found = f" ({interval})" if interval != "–" else ""
    counted = change.design.counted if change.design else ""
    limit = metric.format_size(margin)
    detail = f"{counted}, each mark is a run; effect with its 95 % interval; grey: within the tolerance of {limit}"
    titled(ax, f"{name} of {where}: {size}{found}, {row['verdict']}", detail)


def plot_quantile_shift(shift: Shift, *, ax: Axes | None = None) -> Axes:
    """How much every quantile moved, with the band that holds for all of them at once.

    Parameters
    ----------
    shift : what `quantile_shift` returned.
    ax : Axes to draw on; a new figure if not given.

    Returns
    -------
    Axes. x: the quantiles, stretched towards both ends; y: the change in per cent; the band in grey, each quantile's own
    95 % interval as a line, marks coloured where the band excludes no change.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> shift = lab.quantile_shift(runs.where(arm="n+1"), runs.where(arm="eager"))
    >>> lab.plot_quantile_shift(shift).get_xlabel()
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
        label="95 % band, all at once",
    )
    ax.axhline(0, color="black", linewidth=0.9, zorder=1)
    ax.vlines(
        x, table["low"], table["high"], color=GREY, linewidth=1.2, zorder=2, label="95 % interval, each by itself"
    )
    ax.plot(x, table["change"], color=GREY, linewidth=1, zorder=2)
    certain = np.select([table["band_high"] < 0, table["band_low"] > 0], ["improved", "regressed"], "inconclusive")
    names = {"improved": "lower, for certain", "regressed": "higher, for certain", "inconclusive": "not certain"}
    for word, marker in (("improved", "o"), ("regressed", "s"), ("inconclusive", "D")):
        chosen = certain == word
        if chosen.any():
            ax.plot(x[chosen], table["change"][chosen], linestyle="none", marker=marker, markersize=6.5, color=_COLOURS[word],
                    markeredgecolor="white", label=names[word], zorder=3)  # fmt: skip
    ax.set_xscale("logit")
    ticks = [t / 100 for t in _TICKS if x.min() - 1e-9 <= t / 100 <= x.max() + 1e-9]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"p{value * 100:g}"))
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: Metric.of("p50").format_change(float(f"{value:.6f}")).removesuffix(" %"))
    )
    ax.set_xlabel("Quantile of the latencies")
    ax.set_ylabel(f"Change from {plain(shift.arms[0], 24)} to {plain(shift.arms[1], 24)}, %")
    ax.legend(frameon=False, loc="best", fontsize=8.5)
    where = "all requests" if shift.endpoint == AGGREGATED else plain(shift.endpoint, 40)
    titled(ax, f"Shift of the latencies of {where}", _moved(shift))
    return ax


def _moved(shift: Shift) -> str:
    return plain(shift.sentence.split(": ", 1)[-1], 130)
