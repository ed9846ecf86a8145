"""`growth`: whether latency or memory creeps up over a long run (a soak test), and how fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import one_of
from perflab.metrics import Metric
from perflab.notes import PYTHON, Note, written
from perflab.results import Result, Shown
from perflab.stats import doubts
from perflab.stats.estimates import whose, without_warmup
from perflab.stats.trend import MIN_POINTS, Trend, theil_sen
from perflab.units import format_bytes, format_ms, format_number, format_p, parse_fraction

_COLUMNS = ("run", "quantity", "unit", "start", "per_minute", "low", "high", "p_value", "verdict", "reason")
_RESOURCES = {"rss_bytes": "memory", "threads": "threads", "file_descriptors": "file descriptors"}
_SLICES = 48
_FEWEST = 50


@dataclass(frozen=True, repr=False)
class Growth(Result):
    """The result of `growth`.

    ``table`` has a row for each run and quantity: run, quantity, unit, start (level at the start), per_minute with its
    95 % interval low and high, p_value, verdict ("grows", "falls", "steady", "inconclusive"), reason. ``rate_per_s`` is the
    rate of requests during the runs (of the slowest one), NaN where there are none.
    """

    table: pd.DataFrame
    minutes: float
    warnings: tuple[Note, ...] = ()
    rate_per_s: float = np.nan

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        growing = self.table[self.table["verdict"] == "grows"]
        if growing.empty:
            what = "inconclusive" if (self.table["verdict"] == "inconclusive").all() else "nothing grew"
            return f"Over {format_number(round(self.minutes, 1))} minutes: {what}"
        return "; ".join(
            f"{row.quantity} grows by {_written(row.unit, row.per_minute)} a minute "
            f"(95 % interval {_written(row.unit, row.low)} to {_written(row.unit, row.high)})"
            for row in growing.drop_duplicates("quantity").itertuples()
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the slopes and the notes for a surface."""
        shown = self.table[["run", "quantity", "verdict"]].copy()
        for column in ("start", "per_minute", "low", "high"):
            shown[column] = [_written(u, v) for u, v in zip(self.table["unit"], self.table[column], strict=True)]
        shown = shown.assign(p=list(map(format_p, self.table["p_value"])), reason=self.table["reason"])
        return Shown(self.sentence, shown, written(self.warnings, surface), ours=True)


def growth(
    measured: Measurements,
    *,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    process: str = "target",
    warmup: float | str = 0.1,
) -> Growth:
    """Test whether a latency, or the memory, threads or file descriptors of a process, grow during a run.

    Parameters
    ----------
    measured : Measurements
        One or more long runs with ``requests``, ``resources`` or both.
    metric : str
        "p95" or any ``"p<q>"``, or "mean", of the latencies in each of up to 48 slices of time.
    endpoint : str
        One endpoint, or all requests together.
    process : str
        The process whose resources are tested ("target", "generator").
    warmup : float or str
        The share of each run to leave out: caches fill and pools grow at the start of every service.

    Returns
    -------
    Growth
        The slope is Theil and Sen's; its interval allows for autocorrelation (Yue and Wang 2004). "steady" means that the
        interval contains zero, which it also does in a short run: check how wide it is.

    Raises
    ------
    ValueError
        The metric is not a latency, or there are neither requests nor resources.

    >>> at = np.arange(6000) / 10.0
    >>> rows = {"run": "soak", "endpoint": "GET /", "ok": True, "latency_ms": 20 + at / 60}
    >>> start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(at, unit="s")
    >>> print(lab.stats.growth(lab.Measurements.of(requests=pd.DataFrame({**rows, "start": start}))).sentence)
    p95 of all requests grows by 1 ms a minute (95 % interval 998 µs to 1 ms)
    """
    wanted = Metric.of(metric)
    if not wanted.is_latency:
        raise one_of("metric", metric, ("p50", "p95", "p<q>", "mean"))
    share = parse_fraction(warmup, parameter="warmup")
    if not {"requests", "resources"} & set(measured.tables):
        raise ValueError("growth needs measurements with requests or resources; these have neither")
    rows = [
        row
        for held in measured.pieces()
        for run in held.runs.itertuples()
        for row in (*_latency(held, run, wanted, endpoint, share), *_resources(held, run, process, share))
    ]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    minutes = float(measured.runs["duration_ms"].max()) / 6e4
    return Growth(table, minutes, (doubts.SHORT_SOAK(),) if minutes < 10 else (), _rate(measured))


def _rate(measured: Measurements) -> float:
    if "requests" not in measured.tables:
        return np.nan
    counts = measured.count("requests").reindex(measured.runs["run"]).to_numpy(dtype="float64")
    seconds = measured.runs["duration_ms"].to_numpy(dtype="float64") / 1e3
    rates = counts[seconds > 0] / seconds[seconds > 0]
    return float(rates.min()) if len(rates) else np.nan


def _latency(measured: Measurements, run: Any, metric: Metric, endpoint: str, share: float) -> list[tuple[Any, ...]]:
    if "requests" not in measured.tables:
        return []
    requests = without_warmup(measured, share)
    requests = requests[requests["run"] == run.run]
    if endpoint != AGGREGATED:
        requests = requests[requests["endpoint"] == endpoint]
    name = f"{metric.label} of {whose(endpoint)}"
    pieces = min(_SLICES, len(requests) // _FEWEST)
    if pieces < MIN_POINTS:
        reason = f"{len(requests):,} requests are too few: {MIN_POINTS * _FEWEST} are needed"
        return [(run.run, name, metric.unit, *[np.nan] * 5, "inconclusive", reason)]
    requests = requests.sort_values("start", kind="stable")
    minutes = (requests["start"] - requests["start"].iloc[0]).dt.total_seconds().to_numpy() / 60
    latencies = requests["latency_ms"].to_numpy(dtype="float64")
    parts = np.array_split(np.arange(len(requests)), pieces)
    values = [metric.reduce(latencies[p]) for p in parts]
    found = theil_sen(np.array([minutes[p].mean() for p in parts]), np.array(values))
    return [_row(run.run, name, metric.unit, found)]


def _resources(measured: Measurements, run: Any, process: str, share: float) -> list[tuple[Any, ...]]:
    if "resources" not in measured.tables:
        return []
    own = measured.resources
    own = own[(own["run"] == run.run) & (own["process"] == process)].sort_values("time", kind="stable")
    if not len(own):
        return []
    minutes = (own["time"] - own["time"].iloc[0]).dt.total_seconds().to_numpy() / 60
    kept = minutes >= share * minutes.max()
    rows: list[tuple[Any, ...]] = []
    for column, noun in _RESOURCES.items():
        if column not in own.columns or own[column].isna().any():
            continue
        unit, name = "bytes" if column == "rss_bytes" else "count", f"{noun} of the {process}"
        if int(kept.sum()) < MIN_POINTS:
            reason = f"{int(kept.sum())} samples are too few: {MIN_POINTS} are needed"
            rows.append((run.run, name, unit, *[np.nan] * 5, "inconclusive", reason))
        else:
            rows.append(_row(run.run, name, unit, theil_sen(minutes[kept], own[column].to_numpy("float64")[kept])))
    return rows


def _row(run: str, name: str, unit: str, found: Trend) -> tuple[Any, ...]:
    reason = "" if found.direction != "steady" else "the interval contains zero"
    return (
        *(run, name, unit, found.start, found.slope, found.low, found.high, found.p_value),
        *(found.direction, reason),
    )


_WRITE: dict[str, Callable[[float], str]] = {"ms": format_ms, "bytes": format_bytes, "count": format_number}


def _written(unit: str, value: float) -> str:
    return "–" if value != value else _WRITE[unit](float(f"{value:.3g}"))
