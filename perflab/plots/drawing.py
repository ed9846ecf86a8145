"""Shared by all plots: arms with their styles, log axes in milliseconds, titles, and the Axes to draw on.

Figures are transparent and their text is a grey that is legible on light and dark pages. Only this package imports
matplotlib; the colours are those of `palette`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from unicodedata import category, east_asian_width

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.spines import Spine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from perflab.data.run_blocks import blocks_of, since_start
from perflab.data.selection import without_recorded
from perflab.data.tables import AGGREGATED, Measurements, columns_of
from perflab.metrics import QUANTILE, RATIO, Metric, quantile
from perflab.plots.palette import INK, INK_LIGHTER
from perflab.plots.palette import STYLES as STYLES
from perflab.stats.estimates import by_run as metric_by_run
from perflab.stats.estimates import endpoints_of
from perflab.stats.estimates import without_warmup as after_warmup
from perflab.stats.replications import warmup_of
from perflab.units import format_fraction, format_number, parse_duration, parse_fraction

GREY = INK
LOWEST_MS = 1e-3
"""Where a latency of zero is drawn on a log axis."""
_OF_LATENCIES = ["run", "endpoint", "start", "latency_ms", "ok"]
_BLACK = (0.0, 0.0, 0.0, 1.0)
_WIDTH = 10.0
_EAST_ASIAN = re.compile(
    r"CJK|Noto Sans (JP|SC|TC|KR)|WenQuanYi|Source Han|IPA.*Gothic|Takao|VL ?Gothic|Droid Sans Fallback|Hiragino|PingFang|"
    r"Heiti|YaHei|SimHei|Yu Gothic|Meiryo|MS Gothic|Malgun|Nanum|Arial Unicode"
)
Floats = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Arm:
    """The runs of one arm and their style."""

    label: str
    data: Measurements
    colour: str
    dashes: Any
    marker: str

    @property
    def runs(self) -> int:
        return len(self.data.runs)


def arms_of(measurements: Iterable[Measurements], *, latencies: bool = False) -> list[Arm]:
    """Each arm of each of the measurements, in the given order; equal names are numbered.

    With ``latencies`` only what these need is copied for each arm.
    """
    found: list[tuple[str, Measurements]] = []
    for position, given in enumerate(measurements, 1):
        if not isinstance(given, Measurements):
            raise ValueError(f"measurements must be Measurements (from run, load or read); got {type(given).__name__}")
        given = only_latencies(without_recorded(given)) if latencies else without_recorded(given)
        names = given.runs["arm"].fillna("")
        for name in names.unique():
            part = given if (names == name).all() else _runs_where(given, names == name)
            found.append((name or f"measurements {position}", part))
    if not found:
        raise ValueError("measurements must hold at least one run; got none")
    labels = [name for name, _ in found]
    numbered = [f"{n} ({labels[:i].count(n) + 1})" if labels.count(n) > 1 else n for i, n in enumerate(labels)]
    return [
        Arm(plain(label, 40), data, *STYLES[i % len(STYLES)])
        for i, (label, (_, data)) in enumerate(zip(numbered, found, strict=True))
    ]


def only_latencies(measurements: Measurements) -> Measurements:
    """The runs and of their requests the columns for latencies over time: others are not copied with a million rows."""
    if measurements.lazy or "requests" not in measurements.tables:
        return measurements
    tables = {"runs": measurements.runs, "requests": columns_of(measurements.requests, _OF_LATENCIES)}
    return replace(measurements, tables=MappingProxyType(tables))


def _runs_where(measurements: Measurements, chosen: pd.Series[Any]) -> Measurements:
    return measurements.where(run=list(measurements.runs.loc[chosen, "run"]))


def requests_of(arm: Arm, endpoint: str) -> pd.DataFrame:
    """The arm's requests to the endpoint; ValueError lists the known endpoints if there are none."""
    requests = _to(endpoint, arm.data.requests)
    if len(requests) == 0:
        raise _unknown(arm, endpoint)
    return requests


def pieces_of(arm: Arm, endpoint: str) -> Callable[[], Iterable[tuple[pd.DataFrame, Floats]]]:
    """A function that returns the arm's requests to the endpoint with their seconds since the start.

    All runs are one piece; those of a lazily opened store are read one by one, anew at each call. ValueError lists the known
    endpoints if there are no requests.
    """
    if arm.data.lazy:
        _check_endpoint(arm, endpoint)
        return lambda: (
            (requests, seconds_since_start(requests, "start", one.runs))
            for one in arm.data.each()
            if len(requests := _to(endpoint, one.requests))
        )
    requests = requests_of(arm, endpoint)
    whole = [(requests, seconds_since_start(requests, "start", arm.data.runs))]
    return lambda: whole


def _to(endpoint: str, requests: pd.DataFrame) -> pd.DataFrame:
    return requests if endpoint == AGGREGATED else requests[requests["endpoint"] == endpoint]


def _unknown(arm: Arm, endpoint: str) -> ValueError:
    known = ", ".join(map(repr, [AGGREGATED, *sorted(endpoints_of(arm.data))][:30]))
    return ValueError(f"endpoint must be one of {known} in arm {arm.label!r}; got {endpoint!r}")


def _check_endpoint(arm: Arm, endpoint: str) -> None:
    if not arm.data.lazy:
        requests_of(arm, endpoint)
    elif endpoint not in [*(known := endpoints_of(arm.data)), *([AGGREGATED] if known else [])]:
        raise _unknown(arm, endpoint)


def latencies_of(arm: Arm, endpoint: str, warmup: str | float) -> Mapping[str, Floats]:
    """The latencies of each run after the warm-up; those of a lazily opened store are read whenever they are asked for."""
    if not arm.data.lazy:
        return by_run(without_warmup(arm, endpoint, warmup), "latency_ms")
    _check_endpoint(arm, endpoint)
    return _RunByRun(arm, endpoint, warmup)


class _RunByRun(Mapping[str, Floats]):
    """The latencies of each run that has any, one in memory at a time."""

    def __init__(self, arm: Arm, endpoint: str, warmup: str | float) -> None:
        share = warmup if isinstance(warmup, (int, float)) else 0.0
        counts = metric_by_run(arm.data, ["p50"], warmup=share)
        self._of = arm, endpoint, warmup
        held = set(counts.loc[counts["endpoint"] == endpoint, "run"])
        self._runs = [run for run in arm.data.runs["run"] if run in held]

    def __getitem__(self, run: str) -> Floats:
        arm, endpoint, warmup = self._of
        one = replace(arm, data=next(iter(arm.data.where(run=run).each())))
        found: Floats = without_warmup(one, endpoint, warmup)["latency_ms"].to_numpy()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)


def seconds_since_start(frame: pd.DataFrame, instants: str, runs: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Seconds of each row since the start of its run (or its run's first row, where the start is unknown)."""
    return since_start(frame, instants, runs) / 1e6


def by_run(frame: pd.DataFrame, column: str) -> dict[str, np.ndarray[Any, Any]]:
    """The column's values in each run."""
    blocks, values = blocks_of(frame["run"]), frame[column].to_numpy()
    return {str(name): values[rows] for name, rows in zip(blocks.names, blocks, strict=True)}


def plain(text: object, longest: int = 60) -> str:
    """Foreign text for matplotlib: one line, truncated, without mathtext, and never an ignored label.

    What no font has (emoji) is "�": matplotlib would draw a box, and warn in the reader's cell.
    """
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if not flat.isascii():
        families, later = tuple(plt.rcParams["font.family"]), bool(_east_asian_fonts())
        flat = "".join(c if _has_glyph(c, families) or (later and _is_east_asian(c)) else "�" for c in flat)
    cut = flat if len(flat) <= longest else flat[: longest - 1] + "…"
    return (" " if cut.startswith("_") else "") + cut.replace("$", r"\$")


def _is_east_asian(character: str) -> bool:
    return east_asian_width(character) in "WF" and category(character) != "So"


def _east_asian_fonts() -> list[str]:
    return sorted({font.name for font in fontManager.ttflist if _EAST_ASIAN.search(font.name)})[:3]


@lru_cache(maxsize=4096)
def _has_glyph(character: str, families: tuple[str, ...]) -> bool:
    fonts = (get_font(findfont(FontProperties(family=[family]))) for family in families)
    return any(font.get_char_index(ord(character)) for font in fonts)


def axes(ax: Axes | None, *, height: float = 4.2) -> Axes:
    """The given Axes, or those of a new figure of the usual size."""
    if ax is None:
        figure, ax = plt.subplots(figsize=(_WIDTH, height))
        figure.patch.set_alpha(0)
        _margins(figure, height)
    tidy(ax)
    return ax


def panels(heights: list[float]) -> list[Axes]:
    """Stacked Axes that share the time axis."""
    height = 1.1 + 1.15 * sum(heights)
    figure, grid = plt.subplots(
        len(heights), 1, sharex=True, squeeze=False, figsize=(_WIDTH, height), gridspec_kw={"height_ratios": heights}
    )
    figure.patch.set_alpha(0)
    _margins(figure, height)
    column = [grid[row, 0] for row in range(len(heights))]
    for ax in column:
        tidy(ax)
    figure.align_ylabels(column)
    return column


def _margins(figure: Figure, height: float) -> None:
    """Set fixed margins for title and labels, in inches: a layout engine draws everything twice."""
    figure.subplots_adjust(
        left=0.8 / _WIDTH, right=1 - 0.3 / _WIDTH, top=1 - 0.62 / height, bottom=0.52 / height, hspace=0.12
    )


def tidy(ax: Axes) -> None:
    """Remove the box, put a faint grid behind the data, and write in colours for light and dark pages.

    The two axes differ a little: if all tick labels of a transparent figure were equally light, IPython would ask JupyterLab
    for a white background.
    """
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(INK)
    ax.patch.set_alpha(0)
    ax.tick_params(axis="x", which="both", colors=INK)
    ax.tick_params(axis="y", which="both", colors=INK_LIGHTER)
    ax.grid(True, which="major", color="#888888", alpha=0.3, linewidth=0.6)
    ax.set_axisbelow(True)


def titled(ax: Axes, finding: str, detail: str, *, left: float = 0.0) -> None:
    """Set the finding as a bold title and how to read it in grey below, at the left of the Axes (or offset by ``left``).

    Call it last: it chooses fonts for all text written by then.
    """
    ax.set_title(finding, loc="left", fontweight="bold", fontsize=11, pad=21, x=left)
    ax.annotate(
        detail, (left, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points", fontsize=8.5, color=GREY,
        annotation_clip=False,
    )  # fmt: skip
    _legible(ax)
    figure = ax.get_figure(root=True)
    ours = figure is not None and figure.patch.get_alpha() == 0
    whole = figure if ours and figure is not None else ax
    for text in whole.findobj(Text):
        if text.get_color() == "black":
            text.set_color(INK)
    # A second axis and a colour bar come with black marks and frames, which a dark page hides.
    for axis in whole.findobj(Axis):
        axis.set_tick_params(which="both", color=INK)
    for spine in whole.findobj(Spine):
        if spine.get_edgecolor() == _BLACK:
            spine.set_edgecolor(INK)


def _legible(ax: Axes) -> None:
    """Use this machine's fonts for Chinese, Japanese and Korean, which matplotlib's own font lacks."""
    wide = [t for t in ax.findobj(Text) if any(map(_is_east_asian, t.get_text()))]
    if wide and (known := _east_asian_fonts()):
        for text in wide:
            text.set_fontfamily([*text.get_fontfamily(), *known])
            if text in (*ax.get_xticklabels(), *ax.get_yticklabels()):
                ax.tick_params(labelfontfamily=text.get_fontfamily())


def log_axis(axis: Any, label: str) -> None:
    """Make a log axis with ticks at 1, 2 and 5, written as plain numbers."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_number(float(f"{value:.6g}"))))
    axis.set_minor_locator(NullLocator())
    axis.set_label_text(label)


def counted(count: int, noun: str) -> str:
    """``1 run``, ``6 runs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def quantiles(values: Floats, q: Any) -> Any:
    """Type 8 of Hyndman and Fan (1996), as everywhere in perflab."""
    found = quantile(np.asarray(values, dtype="float64"), np.atleast_1d(q).tolist())
    return found if np.ndim(q) else float(found[0])


def metric_of(percentile: float) -> tuple[Metric, float]:
    """The quantile as a metric, and its fraction."""
    if not 0 < percentile < 100:
        raise ValueError(f"percentile must be between 0 and 100; got {percentile!r}")
    name = f"p{percentile:.6g}"
    return Metric(name, name, "ms", kind=QUANTILE, share=percentile / 100), percentile / 100


def without_warmup(arm: Arm, endpoint: str, warmup: str | float) -> pd.DataFrame:
    """The requests to an endpoint after the warm-up: a fraction of each run, as in `compare`, or a duration."""
    requests = requests_of(arm, endpoint)
    if isinstance(warmup, (int, float)) or str(warmup).strip().endswith("%"):
        kept = _to(endpoint, after_warmup(arm.data, parse_fraction(warmup, parameter="warmup")))
    else:
        length = parse_duration(warmup, parameter="warmup") / 1e3
        kept = requests[seconds_since_start(requests, "start", arm.data.runs) >= length]
    if len(kept) == 0:
        raise ValueError(f"warmup must leave requests to show; {warmup!r} leaves none in arm {arm.label!r}")
    return kept


def of_endpoint(endpoint: str, metric: Metric | None = None) -> str:
    """The endpoint as written in a title."""
    return (metric.everything if metric else "all requests") if endpoint == AGGREGATED else plain(endpoint, 40)


def finding(metric: Metric, endpoint: str, arms: Sequence[Arm], values: Sequence[float]) -> str:
    """``p95 of GET /orders: n+1 32.6 ms, eager 11.9 ms``."""
    listed = ", ".join(f"{arm.label} {metric.format(value)}" for arm, value in list(zip(arms, values, strict=True))[:4])
    return f"{metric.label} of {of_endpoint(endpoint, metric)}: {listed}"


def usual_warmup(arms: Sequence[Arm], given: str | float | None) -> str | float:
    """The given warm-up, else the longest of the plans', else 10 %, as in `compare`."""
    return max(warmup_of(arm.data.runs, None) for arm in arms) if given is None else given


def values_by_run(arm: Arm, metric: Metric, endpoint: str, warmup: str | float) -> pd.DataFrame:
    """The metric of each run and endpoint of an arm after the warm-up; the endpoint must be among them."""
    _check_endpoint(arm, endpoint)
    return metric_by_run(arm.data, [metric.name], warmup=parse_fraction(warmup, parameter="warmup"))


def of_runs(arm: Arm, metric: Metric, endpoint: str, warmup: str | float) -> pd.Series[Any]:
    """The metric of each run of an arm after the warm-up, as `compare` computes it."""
    values = values_by_run(arm, metric, endpoint, warmup)
    return values[values["endpoint"] == endpoint].set_index("run")[metric.name].dropna()


def typical(arm: Arm, metric: Metric, endpoint: str, warmup: str | float) -> float:
    """The value of an arm: the mean of its runs, geometric for a ratio, as in every table and sentence."""
    return metric.typical(of_runs(arm, metric, endpoint, warmup).to_numpy(dtype="float64"))


def metric_axis(ax: Axes, metric: Metric, values: Any = ()) -> None:
    """Set up the y axis of a metric: logarithmic if its values span a factor of three; fractions in per cent."""
    low, high = (float(np.min(values)), float(np.max(values))) if len(values) else (0.0, 0.0)
    if metric.scale == RATIO and low > 0 and high / low > 3:
        log_axis(ax.yaxis, f"{metric.axis_label} (log scale)")
        return
    ax.set_ylabel(metric.axis_label)
    ax.margins(y=0.15)
    if metric.unit == "fraction":
        ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: format_number(float(f"{share * 100:.3g}"))))
        ax.set_ylim(bottom=min(ax.get_ylim()[0], 0.0))


def read_as(arms: Sequence[Arm], warmup: str | float, how: str) -> str:
    counts = {a.runs for a in arms}
    if len(counts) == 1:
        runs = counted(counts.pop(), "run") + (" each" if len(arms) > 1 else "")
    else:
        runs = ", ".join(f"{a.label} {counted(a.runs, 'run')}" for a in arms[:4])
    trimmed = (
        f"; without the first {warmup if isinstance(warmup, str) else format_fraction(warmup)} (warm-up)"
        if warmup
        else ""
    )
    return f"{runs}; {how}{trimmed}"
