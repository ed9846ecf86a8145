"""`read_traffic`: which requests production gets, when, and in which proportions; from its access logs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from perflab import provenance
from perflab.formats import reading
from perflab.loadtest.traffic_counts import Counted, counted, harmless
from perflab.notes import DATA, PYTHON, Kind, Note, count, written
from perflab.results import Result, Shown
from perflab.units import format_fraction, format_ms, format_rate

NO_EXAMPLES = Kind(
    "no-harmless-address",
    DATA,
    "{endpoints} have no address without a secret in the log, so plans leave them out ({share:raw} of the requests)",
)
STRAY_TIMES = Kind(
    "stray-times",
    DATA,
    "{count:request} a month or more away from the others count in no minute: check the server's clock",
)
_LONGEST_GAP_S = 30 * 86_400
_FEWEST_SECONDS = 10
_BINS_S = ((300.0, 60), (30.0, 10), (0.0, 1))
"""From this length on, arrivals are counted in periods of so many seconds."""
_LONGEST_PAUSE_S = 1800.0
"""A longer pause ends a visit."""
_FEWEST_PAUSES = 30
_SHARES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, repr=False)
class Traffic(Result):
    """The result of `read_traffic`.

    ``table`` has a row for each endpoint: endpoint, requests, share_fraction, size_bytes (mean of the responses),
    error_fraction (5xx, and clients that gave up), statuses (those of at least 1 % of the requests). ``arrivals`` has a row
    for each period of ``period_s`` seconds: start, requests, rate_per_s. ``think_ms`` is the quartiles of the time between a
    response and the same client's next request (none if too few). ``latency_ms`` is the mean, NaN if the log holds no durations.
    """

    source: str
    table: pd.DataFrame
    arrivals: pd.DataFrame
    period_s: int
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    think_ms: tuple[float, ...] = ()
    clients: int = 0
    latency_ms: float = math.nan
    bursts: float = 1.0
    warnings: tuple[Note, ...] = ()

    @property
    def requests(self) -> int:
        """The number of requests."""
        return int(self.table["requests"].sum())

    @property
    def peak_per_s(self) -> float:
        """The arrival rate of the busiest period."""
        return float(self.arrivals["rate_per_s"].max())

    @property
    def mean_per_s(self) -> float:
        """The arrival rate over the whole log."""
        return self.requests / (len(self.arrivals) * self.period_s)

    @property
    def sentence(self) -> str:
        """How much traffic, to how many endpoints, and its peak."""
        length = format_ms(len(self.arrivals) * self.period_s * 1e3)
        busiest = self.arrivals.loc[self.arrivals["requests"].idxmax(), "start"]
        return (
            f"{self.source}: {self.requests:,} requests to {len(self.table):,} endpoints in {length}; "
            f"peak {format_rate(self.peak_per_s)} at {busiest:%Y-%m-%d %H:%M}Z, mean {format_rate(self.mean_per_s)}"
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the endpoints and the notes."""
        notes = list(written(self.warnings, surface))
        if self.think_ms:
            low, middle, high = map(format_ms, self.think_ms)
            notes.append(f"{count(self.clients, 'client')}; think time {middle} (quartiles {low} and {high})")
        table = self.table.assign(statuses=[", ".join(map(str, s)) for s in self.table["statuses"]])
        return Shown(self.sentence, table, tuple(notes), ours=True)


def read_traffic(
    path: str | Path | Iterable[str | Path],
    *,
    routes: Sequence[str] = (),
    timezone: str | None = None,
    unit: str | None = None,
) -> Traffic:
    """Count the traffic in access logs.

    Parameters
    ----------
    path : str | Path | Iterable[str | Path]
        Access logs (Common or Combined Log Format, JSON lines of nginx, Apache, Caddy, Envoy or Traefik, AWS load balancers), a
        folder, or a glob pattern; compressed files are read as they are, and rotated ones together.
    routes : Sequence[str]
        Routes that are known ("/blog/{slug}"); in all others numbers, UUIDs, hashes and segments with many values become ``{}``.
    timezone : str | None
        The zone of times that have none ("Europe/Berlin").
    unit : str | None
        The unit of durations that are whole numbers ("us", "ms", "s").

    Returns
    -------
    Traffic
        Its endpoints, arrivals, sizes and think times. Addresses of clients are used to tell them apart, and are not kept.

    Raises
    ------
    FormatError
        A file is not an access log, or holds no requests.

    >>> lab.loadtest.read_traffic("access.log")               # doctest: +SKIP
    """
    files = reading.files(path)
    found = counted(files, routes=routes, timezone=timezone, unit=unit)
    source = files[0].name if len(files) == 1 else f"{len(files)} access logs"
    return _traffic(found, source)


def _traffic(found: Counted, source: str) -> Traffic:
    total = sum(found.requests.values())
    rows: list[dict[str, Any]] = []
    examples: dict[str, tuple[str, ...]] = {}
    for name, asked in sorted(found.requests.items(), key=lambda item: (-item[1], item[0])):
        held, of = found.sizes[name]
        statuses = sorted(s for (n, s), c in found.statuses.items() if n == name and c >= 0.01 * asked)
        shown = provenance.hidden(name)
        rows.append({
            "endpoint": shown,
            "requests": asked,
            "share_fraction": asked / total,
            "size_bytes": held / of if of else math.nan,
            "error_fraction": found.errors[name] / asked,
            "statuses": tuple(statuses),
        })  # fmt: skip
        sampled = (harmless(target) for _, target in found.examples.get(name, ()))
        if kept := tuple(dict.fromkeys(t for t in sampled if t is not None)):
            examples[shown] = kept
    table = pd.DataFrame(rows)
    seconds, stray = _in_one_stretch(found.seconds)
    arrivals, period = _arrivals(seconds)
    gaps, clients = found.pauses()
    gaps = gaps[(gaps > 0) & (gaps < _LONGEST_PAUSE_S)]
    think = tuple(float(q) * 1e3 for q in np.quantile(gaps, _SHARES)) if len(gaps) >= _FEWEST_PAUSES else ()
    notes = [*found.notes, *([STRAY_TIMES(count=stray)] if stray else [])]
    without = table[~table["endpoint"].isin(list(examples))]
    if len(without):
        share = format_fraction(float(without["share_fraction"].sum()))
        notes.append(NO_EXAMPLES(endpoints=list(without["endpoint"]), share=share))
    took, timed = found.duration_ms
    latency = took / timed if timed else math.nan
    return Traffic(
        source,
        table,
        arrivals,
        period,
        MappingProxyType(examples),
        think,
        clients,
        latency,
        _bursts(seconds),
        tuple(notes),
    )


def _arrivals(seconds: Mapping[int, int]) -> tuple[pd.DataFrame, int]:
    """Requests in each period from the first to the last; quiet periods count 0."""
    at = np.fromiter(seconds.keys(), "int64", len(seconds))
    counts = np.fromiter(seconds.values(), "int64", len(seconds))
    span = int(at.max() - at.min()) + 1
    period = next(length for longer, length in _BINS_S if span >= longer)
    bins = at // period
    first = int(bins.min())
    found = np.bincount(bins - first, weights=counts).astype("int64")
    start = pd.to_datetime((first + np.arange(len(found))) * period, unit="s", utc=True)
    return pd.DataFrame({"start": start, "requests": found, "rate_per_s": found / period}), period


def _bursts(seconds: Mapping[int, int]) -> float:
    """Variance over mean of the arrivals in each second of a minute: 1 for independent clients, 0 for a metronome."""
    at = np.fromiter(seconds.keys(), "int64", len(seconds))
    counts = np.fromiter(seconds.values(), "float64", len(seconds))
    _, minute = np.unique(at // 60, return_inverse=True)
    length = np.full(int(minute.max()) + 1, 60.0)
    if len(length) == 1:
        length[0] = at.max() - at.min() + 1
    if length[0] < _FEWEST_SECONDS:
        return 1.0
    # The first and the last minute are cut off; where there are others, those decide.
    inner = slice(1, -1) if len(length) > 2 else slice(None)
    mean = np.bincount(minute, counts) / length
    variance = (np.bincount(minute, counts**2) - length * mean**2) / (length - 1)
    return float(np.median((variance / mean)[inner]))


def _in_one_stretch(seconds: Mapping[int, int]) -> tuple[Mapping[int, int], int]:
    """The seconds without those a month and more away from most of the requests, and the number of requests left out."""
    at = np.sort(np.fromiter(seconds.keys(), "int64", len(seconds)))
    cuts = np.flatnonzero(np.diff(at) > _LONGEST_GAP_S) + 1
    parts = np.split(at, cuts)
    kept = max(parts, key=lambda part: sum(seconds[int(s)] for s in part))
    found = {int(s): seconds[int(s)] for s in kept}
    return found, sum(seconds.values()) - sum(found.values())
