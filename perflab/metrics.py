"""What "p95" means: its unit, its direction, the scale of a change, its format, and its computation.

The public form of a metric is a text ("p95"); `Metric.of` turns it into the object that all other modules use. A new
metric is one entry of `_NAMED`; no other file compares metric names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from perflab.reductions import FROM_RESOURCES
from perflab.reductions import Floats as Floats
from perflab.reductions import quantile as quantile
from perflab.units import format_fraction, format_number, format_value

QUANTILE, MEAN, RATE, SHARE, COUNT, RESOURCE = "quantile", "mean", "rate", "share", "count", "resource"
VITAL = "vital"
VITALS = "vitals"
"""The table of the metrics of pages."""
SLOW = "slow"
RATIO, DIFFERENCE = "ratio", "difference"
_QUANTILE = re.compile(r"p([1-9]\d?(?:\.\d+)?|100)")
_SUFFIXES = MappingProxyType({"ms": "_ms", "1/s": "_per_s", "fraction": "_fraction", "bytes": "_bytes",
                              "bytes/s": "_bytes_per_s", "cores": "_cores"})  # fmt: skip
_SLOWER = re.compile(r"over_(\d+(?:\.\d+)?)ms")
_BEYOND = 10
"""A quantile with this many requests beyond it is stable."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name : as in arguments of public functions ("p95", "throughput_per_s").
    label : as in a sentence ("p95", "throughput").
    unit : "ms", "1/s", "fraction", "bytes", "bytes/s", "cores" or "requests".
    table : the table that it is computed from.
    kind : `QUANTILE`, `MEAN`, `RATE`, `SHARE` (of failures), `SLOW` (the share slower than a limit), `COUNT`, `RESOURCE` or
        `VITAL` (the median of a page's visits).
    better : the sign of a good change: -1 where lower is better, 1 where higher is.
    scale : `RATIO` (a change is relative) or `DIFFERENCE` (for values that can be zero; a change is in the metric's unit).
    rows_needed : how many requests a run needs for a verdict without a warning.
    share : of a quantile, between 0 and 1; None for other metrics.
    tolerance : of a difference, in its unit; for a ratio the caller's is used.
    slower_ms : the limit of `SLOW`; None for other metrics.
    decided : whether `compare` decides on it. Objectives accept more metrics.

    >>> Metric.of("p95").unit, Metric.of("throughput_per_s").better, Metric.of("error_fraction").scale
    ('ms', 1, 'difference')
    """

    name: str
    label: str
    unit: str
    table: str = "requests"
    kind: str = MEAN
    better: int = -1
    scale: str = RATIO
    rows_needed: int = 30
    share: float | None = None
    tolerance: float = 0.01
    decided: bool = True
    slower_ms: float | None = None
    tick: float = 0.0
    limits: tuple[float, float] | None = None

    @classmethod
    def of(cls, name: str | Metric) -> Metric:
        """The metric of a name; ValueError lists the known ones.

        >>> Metric.of("p99.9").rows_needed
        10000
        """
        return name if isinstance(name, Metric) else _of(name)

    @property
    def relative(self) -> bool:
        """Whether a change is a ratio."""
        return self.scale == RATIO

    @property
    def is_latency(self) -> bool:
        """Whether it is a statistic of request latencies."""
        return self.table == "requests" and self.kind in (QUANTILE, MEAN) and self.unit == "ms"

    @property
    def everything(self) -> str:
        """What a value without an endpoint is about, as a sentence names it."""
        return "all pages" if self.table == VITALS else "all requests"

    @property
    def sampled(self) -> str:
        """What a run has several of, in the singular."""
        return "visit" if self.table == VITALS else "request"

    @property
    def is_maximum(self) -> bool:
        """Whether it is the largest value of a run, which has no sampling distribution to test."""
        return self.share == 1.0

    @property
    def has_endpoints(self) -> bool:
        """Whether it is available by endpoint; a resource is that of a whole run."""
        return self.table != "resources"

    @property
    def suffix(self) -> str:
        """The suffix of a column with values of this metric: ``_ms``, ``_per_s``, ``_fraction``, ``_bytes``."""
        return _SUFFIXES.get(self.unit, "")

    @property
    def column(self) -> str:
        """The name of its column in a summary: ``p95_ms``, ``throughput_per_s``."""
        return self.name if self.name.endswith(self.suffix) else f"{self.name}{self.suffix}"

    @property
    def axis_label(self) -> str:
        """The label on an axis: ``p95, ms``.

        >>> Metric.of("throughput_per_s").axis_label
        'Throughput, requests/s'
        """
        units = {"1/s": "requests/s", "fraction": "%"}
        title = self.label if _QUANTILE.fullmatch(self.label) else self.label[:1].upper() + self.label[1:]
        return f"{title}, {units.get(self.unit, self.unit)}" if self.unit else title

    def rating(self, value: float) -> str:
        """``good``, ``needs improvement`` or ``poor``; empty for a metric without published thresholds.

        >>> Metric.of("lcp").rating(2100), Metric.of("inp").rating(640), Metric.of("p95").rating(10)
        ('good', 'poor', '')
        """
        if self.limits is None or value != value:
            return ""
        good, poor = self.limits
        return RATINGS[(value > good) + (value > poor)]

    def needs(self, share_beyond: int = _BEYOND) -> int:
        """Requests that a run needs for ``share_beyond`` of them to lie beyond the quantile."""
        return _needed(self.share, share_beyond)

    @property
    def rows_floor(self) -> int:
        """How many requests a run needs for any verdict; with fewer than ``rows_needed`` it comes with a warning.

        60 for p95: from there on false alarms are at most 6 % with every generator in datasets/calibration/few_requests.csv.
        """
        return min(self.rows_needed, max(30, self.needs(3)))

    # Formatting

    def format(self, value: float) -> str:
        """A value with its unit.

        >>> Metric.of("p95").format(182.4), Metric.of("error_fraction").format(0.0042)
        ('182 ms', '0.42 %')
        """
        return format_value(self.suffix, value)

    def format_change(self, value: float) -> str:
        """A change with its sign: ``+12 %`` for a ratio, ``+1.2 points`` for a share.

        >>> Metric.of("p95").format_change(-0.26), Metric.of("error_fraction").format_change(0.012)
        ('-26 %', '+1.2 points')
        """
        return "–" if value != value else f"{'+' if value > 0 else ''}{self._size(value)}"

    def format_size(self, value: float) -> str:
        """The size of a change without its sign: ``12 %``, ``1.2 points``."""
        return "–" if value != value else self._size(abs(value))

    def moved(self, change: float) -> str:
        """``fell by 12 %``, ``rose by 1.2 points``, ``did not change``."""
        if change == 0:
            return "did not change"
        return f"{'fell' if change < 0 else 'rose'} by {self.format_size(change)}"

    def comparative(self, change: float) -> str:
        """``faster`` or ``slower`` for a latency, else ``lower`` or ``higher``."""
        words = ("faster", "slower") if self.is_latency else ("lower", "higher")
        return words[change > 0]

    def interval(self, low: float, high: float, *, plain: bool = False, confidence: float = 0.95) -> str:
        """``-16 to -8 %``; if ``plain``, ``95 % interval 8 to 16 %`` of the size, where both ends have the same sign.

        >>> Metric.of("p95").interval(-0.74, -0.49), Metric.of("p95").interval(-0.74, -0.49, plain=True)
        ('-74 to -49 %', '95 % interval 49 to 74 %')
        """
        if low != low or high != high:
            return "–"
        if plain and low * high > 0:
            low, high = sorted((abs(low), abs(high)))
        sign = "" if plain and low * high > 0 else "+"
        first, second = (f"{sign if v > 0 else ''}{self._number(v)}" for v in (low, high))
        written = f"{first} to {second}{self._change_unit(high)}"
        return f"{confidence * 100:.3g} % interval {written}" if plain else written

    def _size(self, value: float) -> str:
        return f"{self._number(value)}{self._change_unit(value)}"

    def _number(self, value: float) -> str:
        percent = self.relative or self.unit == "fraction"
        return format_number(float(f"{value * (100 if percent else 1):.3g}")) if math.isfinite(value) else "∞"

    def _change_unit(self, value: float) -> str:
        if self.relative:
            return " %"
        if self.unit == "fraction":
            return " point" if abs(value) == 0.01 else " points"
        return f" {self.unit}" if self.unit else ""

    # Computation

    def scaled(self, values: Floats) -> Floats:
        """Values on the scale of the analysis: logarithms for a ratio (NaN where undefined), else unchanged."""
        if not self.relative:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.log(np.where(values > 0, values, np.nan))
        return found

    def unscaled(self, change: float) -> float:
        """A difference on the scale of the analysis as a change; a share cannot change by more than 1."""
        if self.relative:
            return math.expm1(change)
        return float(np.clip(change, -1.0, 1.0)) if self.unit == "fraction" else change

    def margin(self, tolerance: float, error_tolerance: float | None = None) -> float:
        """The tolerance on the scale of the analysis: ln(1 + tolerance) for a ratio, ``error_tolerance`` for a share, else its
        own."""
        if self.relative:
            return math.log1p(tolerance)
        return self.tolerance if error_tolerance is None or self.unit != "fraction" else error_tolerance

    def typical(self, values: Floats) -> float:
        """The value of an arm: the mean of its runs, geometric for a ratio, so that arms and change agree."""
        known = values[~np.isnan(values)]
        if not len(known):
            return math.nan
        if self.relative and (known > 0).all():
            return float(np.exp(np.log(known).mean()))
        return float(known.mean())

    def reduce(self, latency_ms: Floats) -> float:
        """The metric of latencies: the quantile (type 8), the mean, or the share above a limit."""
        if not len(latency_ms):
            return math.nan
        if self.slower_ms is not None:
            return float((latency_ms > self.slower_ms).mean())
        if self.share is None:
            return float(np.sort(latency_ms).mean())
        return float(quantile(latency_ms, [self.share])[0])

    def of_resources(self, resources: Any, *, requests: int, seconds: float) -> float:
        """The metric of one run, from the target's samples (a `resources` table after the warm-up), requests and length.

        CPU time and bytes read or written are divided by the requests, cores are a mean, memory is the largest sample.
        """
        compute = FROM_RESOURCES.get(self.name)
        if compute is None:
            raise ValueError(f"{self.name} is not computed from resources")
        return compute(resources, requests, seconds) if len(resources) else math.nan


def _resource(name: str, label: str, unit: str, *, decided: bool = True) -> Metric:
    return Metric(name, label, unit, table="resources", kind=RESOURCE, rows_needed=1, decided=decided)


def _vital(
    name: str, label: str, *, tick: float, limits: tuple[float, float] | None = None, own: float = 0.0
) -> Metric:
    """A duration of a page; with a tolerance of its ``own`` (ms) if it can be zero, so that changes are differences."""
    scale = DIFFERENCE if own else RATIO
    return Metric(name, label, "ms", VITALS, VITAL, scale=scale, rows_needed=1, tolerance=own, tick=tick, limits=limits)


# The thresholds are those of web.dev/articles/vitals; TBT's are Lighthouse's for mobile. The resolution of events is 8 ms;
# that of paints is at most 4 ms.
_VITALS = (
    _vital("lcp", "LCP", tick=4, limits=(2500, 4000)),
    _vital("inp", "INP", tick=8, limits=(200, 500)),
    Metric("cls", "CLS", "", VITALS, VITAL, scale=DIFFERENCE, rows_needed=1, tick=0.001, limits=(0.1, 0.25)),
    _vital("fcp", "FCP", tick=4, limits=(1800, 3000)),
    _vital("ttfb", "TTFB", tick=1, limits=(800, 1800)),
    _vital("tbt", "TBT", tick=1, limits=(200, 600), own=20),
    _vital("lcp_resource_delay", "delay before the LCP resource", tick=1, own=20),
    _vital("lcp_resource_load", "download of the LCP resource", tick=1, own=20),
    _vital("lcp_render_delay", "delay before the LCP is rendered", tick=4, own=20),
    _vital("inp_input_delay", "input delay of the INP", tick=1, own=10),
    _vital("inp_processing", "processing of the INP", tick=1, own=10),
    _vital("inp_presentation", "presentation of the INP", tick=8, own=10),
)

VITAL_NAMES = tuple(metric.name for metric in _VITALS)
RATINGS = ("good", "needs improvement", "poor")

_NAMED: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            *_VITALS,
            _vital("speed_index", "speed index", tick=1, limits=(3400, 5800)),
            Metric(
                "lighthouse_score", "Lighthouse score", "", VITALS, VITAL, 1, DIFFERENCE, rows_needed=1, tolerance=0.05
            ),
            Metric("mean", "mean latency", "ms"),
            Metric("throughput_per_s", "throughput", "1/s", kind=RATE, better=1),
            Metric("error_fraction", "error rate", "fraction", kind=SHARE, scale=DIFFERENCE),
            Metric("size_bytes", "response size", "bytes"),
            _resource("cpu_ms_per_request", "CPU of the target per request", "ms"),
            _resource("rss_bytes", "memory of the target", "bytes"),
            _resource("read_bytes", "bytes read per request", "bytes"),
            _resource("written_bytes", "bytes written per request", "bytes"),
            # For objectives, not comparisons: what a target uses per second rises with its throughput.
            _resource("cpu_cores", "CPU of the target", "cores", decided=False),
            _resource("io_bytes_per_s", "I/O of the target", "bytes/s", decided=False),
            Metric("min", "minimum", "ms", kind=QUANTILE, share=0.0, decided=False),
            Metric("max", "maximum", "ms", kind=QUANTILE, share=1.0, decided=False),
            Metric("check_fraction", "passed checks", "fraction", "checks", SHARE, 1, DIFFERENCE, decided=False),
            Metric("hit_fraction", "cache hit ratio", "fraction", "cached", SHARE, 1, DIFFERENCE, decided=False),
            Metric("count", "requests", "requests", kind=COUNT, better=1, decided=False),
        )
    }
)
_ALIASES = MappingProxyType(
    {
        **dict.fromkeys(("median", "med"), "p50"),
        **dict.fromkeys(("average", "avg"), "mean"),
        "minimum": "min",
        **dict.fromkeys(("maximum", "p100"), "max"),
        **dict.fromkeys(("throughput", "rps", "requests_per_s"), "throughput_per_s"),
        **dict.fromkeys(("errors", "error_rate", "failure_rate", "error rate"), "error_fraction"),
        **dict.fromkeys(("checks", "check_rate"), "check_fraction"),
        **{metric.label.lower(): metric.name for metric in _VITALS},
        "largest contentful paint": "lcp",
        "interaction to next paint": "inp",
        "cumulative layout shift": "cls",
        "first contentful paint": "fcp",
        "time to first byte": "ttfb",
        "total blocking time": "tbt",
        **dict.fromkeys(("hit_ratio", "hit ratio", "hit rate", "cache hit ratio", "cache hit rate"), "hit_fraction"),
    }
)


def canonical(name: str) -> str:
    """The metric's name for a common alias: ``"median"`` is p50, ``"error rate"`` is error_fraction.

    >>> canonical("P(95)"), canonical("rps")
    ('p95', 'throughput_per_s')
    """
    lowered = re.sub(r"^p\((.*)\)$", r"p\1", str(name).strip().lower())
    return _ALIASES.get(lowered, lowered)


@lru_cache(maxsize=256)
def _of(name: str) -> Metric:
    if isinstance(name, str):
        if name in _NAMED:
            return _NAMED[name]
        if found := _QUANTILE.fullmatch(name):  # not p0.95, which is hardly ever meant
            share = float(found[1]) / 100
            return Metric(name, name, "ms", kind=QUANTILE, rows_needed=_needed(share, _BEYOND), share=share)
        if (found := _SLOWER.fullmatch(name)) and float(found[1]) > 0:
            limit = float(found[1])
            label = f"share slower than {format_value('_ms', limit)}"
            return Metric(name, label, "fraction", kind=SLOW, scale=DIFFERENCE, slower_ms=limit)
    others = ", ".join(_NAMED)
    raise ValueError(f'metric must be "p95" or any "p<q>" from p1 to p100, "over_<limit>ms", {others}; got {name!r}')


def _needed(share: float | None, beyond: int) -> int:
    if share is None or not 0 < share < 1:
        return 30
    return math.ceil(round(beyond / min(share, 1 - share), 6))


def format_margin(metric: Metric, tolerance: float, error_tolerance: float) -> str:
    """The tolerance as text."""
    if metric.relative:
        return format_fraction(tolerance)
    return metric.format_size(metric.margin(tolerance, error_tolerance))
