"""The web vitals of visits, and the exchanges of one visit as a waterfall."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import one_of
from perflab.metrics import RATINGS, Metric
from perflab.plots.drawing import STYLES, arms_of, axes, counted, finding, plain, titled
from perflab.stats import visits
from perflab.stats.estimates import by_run
from perflab.units import format_bytes, format_ms

_TINTS = ("#009E73", "#E69F00", "#D55E00")
"""Good, needs improvement, poor."""
_PHASES = {
    "waiting to be sent": ("blocked", "dns", "connect", "ssl", "send"),
    "server": ("wait",),
    "download": ("receive",),
}
_SHADES = ("#BBBBBB", STYLES[5][0], STYLES[1][0])
_ROWS, _LABEL, _MARGIN = 40, 42, 0.36


def plot_vitals(
    *measurements: Measurements, metric: str = "lcp", page: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a metric of pages: every visit, the median of each run, and the published thresholds.

    Parameters
    ----------
    *measurements : Measurements
        Runs of pages (`run_pages`, `run_pairs`), one or more arms.
    metric : str
        "lcp", "inp", "cls", "fcp", "ttfb", "tbt", or a part of the first two.
    page : str, optional
        One page; by default the only one, or all of them, each visit with its own mark.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: the runs of each arm in order of start; y: the metric. A dash is the run's value, the median of its visits; the
        background is green where the metric is good, and red where it is poor.

    Raises
    ------
    ValueError
        No visit of the page has the metric, or it is no metric of pages.

    >>> import pandas as pd, perflab as lab
    >>> rows = [("a", "/", visit, "lcp", 900.0 + visit, "ms") for visit in range(1, 6)]
    >>> vitals = pd.DataFrame(rows, columns=["run", "page", "visit", "metric", "value", "unit"])
    >>> lab.plot_vitals(lab.Measurements.of(vitals=vitals)).get_ylabel()
    'LCP, ms'
    """
    kind = Metric.of(metric)
    if not visits.of_pages([kind]):
        raise ValueError(f"metric must be one of pages, such as 'lcp'; got {metric!r}")
    arms = arms_of(measurements)
    ax, place, marks, ticks, highest = axes(ax), 0, [], [], 0.0
    for arm in arms:
        held = visits.as_requests(arm.data)
        chosen = held.requests if page is None else held.requests[held.requests["endpoint"] == page]
        values = chosen.dropna(subset=kind.name) if kind.name in chosen.columns else chosen.iloc[:0]
        if not len(values):
            raise one_of(f"page (with {kind.label}, in arm {arm.label!r})", page, pd.unique(held.requests["endpoint"]))
        table = by_run(held, [kind])
        own = table[table["endpoint"] == (page or AGGREGATED)].set_index("run")[kind.name]
        runs = [run for run in pd.unique(values.sort_values("start", kind="stable")["run"]) if run in own.index]
        at = {run: place + position for position, run in enumerate(runs)}
        jitter = np.linspace(-0.2, 0.2, 5)[values.groupby("run").cumcount().to_numpy() % 5]
        ax.plot(values["run"].map(at) + jitter, values[kind.name], linestyle="none", marker=arm.marker, markersize=4,
                color=arm.colour, alpha=0.55, zorder=2)  # fmt: skip
        ax.hlines([own[run] for run in runs], [at[r] - 0.35 for r in runs], [at[r] + 0.35 for r in runs],
                  color=arm.colour, linewidth=2.2, zorder=3)  # fmt: skip
        marks.append(kind.typical(own[runs].to_numpy(dtype="float64")))
        ticks.append((place + (len(runs) - 1) / 2, f"{arm.label}, {counted(len(runs), 'run')}"))
        highest = max(highest, float(values[kind.name].max()))
        place += len(runs) + 1
    _rated(ax, kind, highest)
    ax.set_xticks([at for at, _ in ticks], [plain(label, 48) for _, label in ticks])
    ax.tick_params(axis="x", length=0)
    ax.grid(False, axis="x")
    ax.set_ylabel(kind.axis_label)
    pages = {str(name) for arm in arms for name in arm.data.vitals["page"].unique()}
    only = page or (pages.pop() if len(pages) == 1 else AGGREGATED)
    how = "a mark per visit, a dash per run (median of its visits)"
    titled(ax, finding(kind, only, arms, marks), how)
    return ax


def _rated(ax: Axes, metric: Metric, highest: float) -> None:
    """The background by the published thresholds, as far as the values reach."""
    top = max(highest * 1.12, metric.tick)
    ax.set_ylim(0, top)
    if metric.limits is None:
        return
    edges = [0.0, *metric.limits, np.inf]
    shown = [i for i in range(3) if edges[i] < top]
    for i in shown:
        ax.axhspan(edges[i], min(edges[i + 1], top), color=_TINTS[i], alpha=0.08, linewidth=0, zorder=0)
    handles = [Patch(color=_TINTS[i], alpha=0.25, label=RATINGS[i]) for i in shown]
    ax.legend(handles=handles, frameon=False, loc="upper right", bbox_to_anchor=(1, -0.07), ncols=3)


def draw_exchanges(exchanges: pd.DataFrame, page: str | None, ax: Axes | None) -> Axes:
    """The exchanges of one visit as a waterfall: of the page that is named, or of the first; of its visits a typical one."""
    if exchanges.empty:
        raise ValueError("exchanges must hold at least one; got none")
    if "page" in exchanges.columns:
        pages = list(pd.unique(exchanges["page"]))
        if page is not None and page not in pages:
            raise one_of("page", page, pages)
        exchanges = _typical_visit(exchanges[exchanges["page"] == (page if page is not None else pages[0])])
    else:
        exchanges = exchanges[exchanges["run"] == exchanges["run"].iloc[0]]
    exchanges = exchanges.sort_values("start", kind="stable")
    at = ((exchanges["start"] - exchanges["start"].min()) / pd.Timedelta(milliseconds=1)).to_numpy(dtype="float64")
    timings = [_phases(phases) for phases in exchanges["timings_ms"]]
    took = np.array([sum(phases.values()) for phases in timings])
    shown = min(len(exchanges), _ROWS)
    own = ax is None
    ax = axes(ax, height=1.5 + 0.26 * shown)
    figure = ax.get_figure(root=True)
    if own and figure is not None:
        figure.subplots_adjust(left=_MARGIN)
    for line in range(shown):
        begun = at[line]
        for names, colour in zip(_PHASES.values(), _SHADES, strict=True):
            length = sum(timings[line].get(name, 0.0) for name in names)
            ax.broken_barh([(begun, length)], (line - 0.36, 0.72), facecolors=colour, linewidth=0)
            begun += length
    end = float((at + took).max())
    ax.set_ylim(shown - 0.4, -0.6)
    ax.set_xlim(-0.01 * end, end * 1.02 or 1.0)
    ax.set_yticks(range(shown), [_label(row) for row in exchanges.head(shown).to_dict("records")], fontsize=7.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.set_xlabel("Time since the first request, ms")
    handles = [Patch(color=colour, label=name) for name, colour in zip(_PHASES, _SHADES, strict=True)]
    ax.legend(handles=handles, frameon=False, fontsize=8, loc="upper right", ncols=3)
    size = float(exchanges["transfer_bytes"].fillna(0).sum())
    left_out = len(exchanges) - shown
    more = f"; {counted(left_out, 'further one')} left out" if left_out else ""
    of = f"{plain(exchanges['page'].iloc[0], 40)}: " if "page" in exchanges.columns else ""
    titled(ax, f"{of}{counted(len(exchanges), 'request')}, {format_bytes(size)} in {format_ms(end)}",
           f"{_which(exchanges)}; a bar per request, in order of start{more}",
           left=-(_MARGIN - 0.02) / (0.98 - _MARGIN) if own else 0.0)  # fmt: skip
    return ax


def _which(exchanges: pd.DataFrame) -> str:
    """Which visit it is."""
    return f"visit {exchanges['visit'].iloc[0]} of a run" if "visit" in exchanges.columns else "one visit"


def _typical_visit(exchanges: pd.DataFrame) -> pd.DataFrame:
    """The visit of the first run whose requests took a middling time; the first one may have filled caches."""
    own = exchanges[exchanges["run"] == exchanges["run"].iloc[0]]
    ends = own["start"] + pd.to_timedelta([sum(_phases(each).values()) for each in own["timings_ms"]], unit="ms")
    by_visit = own.assign(end=ends).groupby("visit", sort=False)
    took = (by_visit["end"].max() - by_visit["start"].min()).sort_values(kind="stable")
    return own[own["visit"] == took.index[len(took) // 2]]


def _phases(timings: object) -> dict[str, float]:
    return timings if isinstance(timings, dict) else {}


def _label(row: dict[Any, Any]) -> str:
    """The end of the path with the size."""
    parts = urlsplit(str(row["url"]))
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    short = path if len(path) <= _LABEL else "…" + path[-_LABEL + 1 :]
    size = row["transfer_bytes"]
    return f"{plain(short, _LABEL)}  {format_bytes(float(size)) if size == size and size is not None else '–'}"
