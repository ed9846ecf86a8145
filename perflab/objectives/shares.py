"""`compare_shares`: a load test against production's histogram, by the share of requests below the same bound."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from perflab.data.run_blocks import blocks_of
from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import FormatError
from perflab.formats import prometheus_json, prometheus_text, reading
from perflab.formats._prometheus import EXPRESSION
from perflab.notes import DATA, DESIGN, PYTHON, Kind, Note, written
from perflab.objectives.instruments import Instruments, instruments_of
from perflab.results import Result, Shown
from perflab.stats import replications
from perflab.stats.estimates import Floats, after_warmup, requests_of
from perflab.units import format_fraction, format_ms, parse_duration

TWO_CLOCKS = Kind(
    "two-clocks",
    DESIGN,
    "the load test's latency is the client's, on average {overhead_ms} longer than the server's; {unsure:raw} of its requests "
    "lie so close to the bound that the clock decides on which side they are",
)
_Z = 1.96
_FEW_RESTARTS = 0.1
SHARES_ONLY = Kind(
    "shares-only",
    DESIGN,
    "shares below the bound of a bucket are exact in both; a histogram's p95 is interpolated, so it is not compared",
)


COUNTS_UNKNOWN = Kind(
    "counts-unknown",
    DATA,
    "production is the result of an expression, whose values may be rates: the shares are right, but the interval and the number "
    "of production's requests are not known; export the buckets themselves (query: ..._bucket)",
)


@dataclass(frozen=True, repr=False)
class SharesCompared(Result):
    """The result of `compare_shares`.

    ``production_fraction`` and ``run_fraction`` are the shares of requests slower than ``limit_ms``; ``low`` and ``high`` the
    95 % interval of their difference (run less production) if requests are independent. ``unsure_fraction`` is the share of the
    run's requests that lie within ``overhead_ms``, the mean difference of the two clocks, of the limit.
    """

    limit_ms: float
    endpoint: str
    production_fraction: float
    run_fraction: float
    production_requests: int
    run_requests: int
    low: float
    high: float
    overhead_ms: float
    unsure_fraction: float
    warnings: tuple[Note, ...] = ()

    @property
    def difference(self) -> float:
        """The run's share less production's."""
        return self.run_fraction - self.production_fraction

    @property
    def sentence(self) -> str:
        """Both shares, and their difference."""
        sign = "+" if self.difference > 0 else ""
        return (
            f"{format_fraction(self.run_fraction)} of the load test's requests and "
            f"{format_fraction(self.production_fraction)} of production's took longer than {format_ms(self.limit_ms)} "
            f"({sign}{100 * self.difference:.2g} points, 95 % interval {100 * self.low:.2g} to {100 * self.high:.2g})"
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence and the notes."""
        return Shown(self.sentence, notes=written(self.warnings, surface))


def compare_shares(
    measured: Measurements | pd.DataFrame,
    production: Measurements | str | Path,
    limit: str | float,
    *,
    endpoint: str = AGGREGATED,
    warmup: float | str | None = None,
) -> SharesCompared:
    """Compare how many requests were slower than a limit in a load test and in production's histogram.

    Parameters
    ----------
    measured : Measurements or DataFrame
        The runs of the load test.
    production : Measurements, str or Path
        Measurements with ``metrics``: a /metrics page, the JSON of ``query_range`` for the histogram's buckets, or a run that was
        recorded with ``Target(metrics=)``; or a file with one of the first two.
    limit : str or float
        A limit at which a bucket ends, such as ``"250ms"``.
    endpoint : str
        One endpoint, or all requests together.
    warmup : float or str, optional
        The share of each run to leave out; the plan's, or 10 %, if not given. Scrapes of that time are left out, too.

    Returns
    -------
    SharesCompared

    Raises
    ------
    ValueError
        No bucket ends at the limit; the message lists the bounds.
    FormatError
        The metrics hold no histogram of durations.

    >>> lab.objectives.compare_shares(runs, "metrics.json", "250ms").sentence              # doctest: +SKIP
    """
    at = parse_duration(limit, parameter="limit", bare="ms")
    held = requests_of(measured)
    cut = replications.warmup_of(held.runs, warmup)
    metrics = production if isinstance(production, Measurements) else _read(Path(production))
    meters = instruments_of(metrics)
    if meters is None:
        raise FormatError(
            "production: expected a histogram of durations (..._seconds_bucket) in the metrics, found none"
        )
    if not meters.has_bound(at):
        bounds = ", ".join(format_ms(b) for b in meters.bounds or {})
        raise ValueError(f"limit must be a bound of {meters.histogram} ({bounds}); got {limit!r}")
    labels = meters.timed.of(endpoint)
    if labels is None:
        routes = ", ".join(meters.timed.listed)
        raise ValueError(f"endpoint must be one of the histogram's endpoints ({routes}); got {endpoint!r}")
    since = min(kept["start"].min() for kept in after_warmup(held, cut)) if metrics is measured and cut else None
    slow, total, mean_ms, are_counts = _histogram(metrics.metrics, meters, labels, at, since)
    sums = np.array([(len(own), (own > at).sum(), own.sum()) for own in _by_run(held, cut, endpoint)]).reshape(-1, 3)
    found, over, spent = sums.sum(axis=0)
    if found and not total > 0 and not _has_all(metrics.metrics):
        raise ValueError(
            f'production must have the bucket le="+Inf" or {meters.histogram}_count too, which count all requests'
        )
    if not found or not total > 0:
        held_there = f"{found:,.0f} requests in the runs, {total:,.0f} in the metrics"
        raise ValueError(f"endpoint {endpoint!r} must have requests in the runs and in the metrics; found {held_there}")
    ran, here = float(over / found), slow / total
    overhead = max(0.0, float(spent / found) - mean_ms)
    unsure = float(sum((np.abs(own - at) <= overhead).sum() for own in _by_run(held, cut, endpoint)) / found)
    low, high = _difference(ran, int(found), here, total)
    notes = [SHARES_ONLY()]
    if not are_counts:
        notes.append(COUNTS_UNKNOWN())
    if overhead == overhead:
        notes.append(TWO_CLOCKS(overhead_ms=overhead, unsure=format_fraction(unsure)))
    return SharesCompared(at, endpoint, here, ran, round(total), int(found), low, high, overhead, unsure, tuple(notes))


def _by_run(held: Measurements, cut: float, endpoint: str) -> Iterator[Floats]:
    """The latencies of each run."""
    for kept in after_warmup(held, cut):
        own = kept if endpoint == AGGREGATED else kept[(kept["endpoint"] == endpoint).to_numpy()]
        sent = _since_sent(own)
        yield from (sent[rows] for rows in blocks_of(own["run"]))


def _since_sent(requests: pd.DataFrame) -> Floats:
    """Latencies from the moment at which requests were sent: a server does not know when they were due."""
    latency: Floats = requests["latency_ms"].to_numpy(dtype="float64")
    if "due" not in requests.columns:
        return latency
    late = ((requests["start"] - requests["due"]).dt.total_seconds() * 1e3).fillna(0.0).to_numpy(dtype="float64")
    sent: Floats = np.maximum(0.0, latency - np.maximum(0.0, late))
    return sent


def _read(path: Path) -> Measurements:
    head = path.read_bytes()[:4096]
    if not (prometheus_json.sniff(head) or prometheus_text.sniff(head)):
        raise FormatError(f"{path}: expected a /metrics page, or JSON of Prometheus' API")
    return reading.read(path)


def _difference(ran: float, runs: int, here: float, total: float) -> tuple[float, float]:
    """Newcombe's interval for the difference of two independent shares (1998, Statistics in Medicine 17, method 10)."""
    low1, high1 = _wilson(ran, runs)
    low2, high2 = _wilson(here, total)
    lower = math.hypot(ran - low1, high2 - here)
    upper = math.hypot(high1 - ran, here - low2)
    return ran - here - lower, ran - here + upper


def _wilson(share: float, count: float) -> tuple[float, float]:
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return middle - half, middle + half


def _histogram(
    metrics: pd.DataFrame, meters: Instruments, labels: Mapping[str, str], limit_ms: float, since: pd.Timestamp | None
) -> tuple[float, float, float, bool]:
    """Slow requests, all requests, and their mean (ms, NaN if not known), between the first scrape and the last; whether
    these are counts."""
    names = {f"{meters.histogram}_{part}": part for part in ("bucket", "count", "sum")}
    if since is not None:
        metrics = metrics[metrics["time"] >= since]
    instance = metrics["labels"].map(lambda held: (held or {}).get("instance", ""))
    began = metrics["time"].groupby(instance).min()
    chosen = metrics[metrics["name"].isin([*names, EXPRESSION])].sort_values("time", kind="stable")
    series: defaultdict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = defaultdict(list)
    for row in chosen.itertuples():
        held = dict(row.labels or {})
        if all(held.get(name) == value for name, value in labels.items()):
            key = str(row.name), tuple(sorted(held.items()))
            if key not in series and row.time > began[held.get("instance", "")]:
                series[key].append(0.0)  # it was not yet there at a scrape before
            series[key].append(float(row.value))
    grows = _counters([values for (name, _), values in series.items() if name == EXPRESSION])
    single = all(len(values) == 1 for values in series.values())
    below = total = count = spent = 0.0
    for (name, pairs), values in series.items():
        part, le = names.get(name), dict(pairs).get("le")
        # An instance that was scraped once has served an unknown number before, unless one scrape is all there is.
        grown = sum(values) if not (part or grows) else _grown(values) if single or len(values) > 1 else 0.0
        if le is not None and part in ("bucket", None):
            # Prometheus 3 writes 1.0 where Prometheus 2 wrote 1.
            below += grown if abs(float(le) * meters.ms_per_unit - limit_ms) <= 1e-9 * limit_ms else 0.0
            total += grown if float(le) == math.inf else 0.0
        count += grown if part == "count" else 0.0
        spent += grown if part == "sum" else 0.0
    total = total or count
    mean_ms = spent / count * meters.ms_per_unit if count else math.nan
    return total - below, total, mean_ms, grows or bool(names.keys() & {name for name, _ in series})


def _has_all(metrics: pd.DataFrame) -> bool:
    held = any(float((labels or {}).get("le", "nan")) == math.inf for labels in metrics["labels"])
    return held or bool(metrics["name"].str.endswith("_count").any())


def _counters(series: Sequence[Sequence[float]]) -> bool:
    """Whether the results of a query are counts that grow (``sum by (le) (..._bucket)``), rather than rates or increases."""
    if not any(len(values) > 2 for values in series):
        return False
    steps = np.concatenate([np.diff(values) for values in series])
    whole = all(value == int(value) for values in series for value in values)
    return whole and bool((steps > 0).any()) and float((steps < 0).mean()) <= _FEW_RESTARTS


def _grown(values: list[float]) -> float:
    """By how much a counter grew, over restarts; the value itself where there is one scrape only."""
    if len(values) == 1:
        return values[0]
    steps = np.diff(values)
    return float(np.where(steps >= 0, steps, values[1:]).sum())
