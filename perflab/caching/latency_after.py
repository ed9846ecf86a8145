"""Latencies with a cache: what was recorded, with a hit's latency in place of each hit's; and how far the prediction is sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.caching.accesses import Accesses, Flags, Floats, Ints
from perflab.metrics import Metric, quantile

METRICS = ("mean", "p50", "p95", "p99")
FALLS, STAYS, RISES, INCONCLUSIVE = VERDICTS = ("falls", "stays", "rises", "inconclusive")
_BLOCKS, _RESAMPLES, _CONFIDENCE = 20, 200, 0.95
_ENOUGH = 20_000
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class Latencies:
    """The latencies that a cache changes, before and after, and a block of time for each (see `interval`)."""

    before: Floats
    after: Floats
    block: Ints

    def of(self, metric: Metric) -> tuple[float, float]:
        """The metric before and after."""
        return metric.reduce(self.before), metric.reduce(self.after)

    def interval(self, metric: Metric) -> tuple[float, float]:
        """The 95 % interval of the relative change, by resampling blocks of time: requests close in time are alike."""
        if len(self.before) < metric.rows_floor:
            return math.nan, math.nan
        chance = np.random.default_rng(0)
        blocks = int(self.block.max()) + 1
        draws = chance.multinomial(blocks, np.full(blocks, 1 / blocks), _RESAMPLES)
        with np.errstate(divide="ignore", invalid="ignore"):
            change = (
                _reduced(self.after, self.block, draws, metric) / _reduced(self.before, self.block, draws, metric) - 1
            )
        change = change[np.isfinite(change)]
        if not len(change):
            return math.nan, math.nan
        low, high = quantile(change, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2]).tolist()
        return float(low), float(high)


def verdict(low: float, high: float, tolerance: float) -> str:
    """What can be said of a change with this interval.

    >>> verdict(-0.02, 0.01, 0.05), verdict(-0.4, -0.1, 0.05), verdict(-0.2, 0.01, 0.05)
    ('stays', 'falls', 'inconclusive')
    """
    if math.isnan(low) or math.isnan(high):
        return INCONCLUSIVE
    if -tolerance <= low and high <= tolerance:
        return STAYS
    return FALLS if high < 0 else RISES if low > 0 else INCONCLUSIVE


def _reduced(values: Floats, block: Ints, draws: Ints, metric: Metric) -> Floats:
    """The metric of each resample, where row ``r`` takes block ``b`` ``draws[r, b]`` times."""
    order = np.argsort(values, kind="stable")
    values, block = values[order], block[order]
    if metric.share is None:
        sums = np.bincount(block, weights=values, minlength=draws.shape[1])
        counts = np.bincount(block, minlength=draws.shape[1])
        found: Floats = (draws @ sums) / (draws @ counts)
        return found
    # Evenly thinned in their order, many keep their quantiles.
    step = len(values) // _ENOUGH + 1
    values, block = values[::step], block[::step]
    reached = [np.cumsum(row[block]) for row in draws]
    places = [int(np.searchsorted(r, metric.share * r[-1])) for r in reached]
    picked: Floats = values[np.minimum(places, len(values) - 1)]
    return picked


def hit_latencies(hit_ms: float | Sequence[float], hits: int) -> Floats:
    """The latency of each hit: the one given, or evenly spread over the quantiles of those measured."""
    given = np.sort(np.atleast_1d(np.asarray(hit_ms, dtype="float64")))
    if len(given) == 1:
        return np.full(hits, given[0])
    picked: Floats = given[((np.arange(hits) * _GOLDEN % 1.0) * len(given)).astype("int64")]
    return picked


def after(
    accesses: Accesses, hit: Flags, hit_ms: float | Sequence[float], miss_ms: float, requests: pd.DataFrame | None
) -> Latencies:
    """The latencies of the accesses, or of the requests that make them where ``requests`` (by id) knows them."""
    changed = accesses.took_ms + miss_ms
    # No cache makes a call slower than the call and the cache together.
    changed[hit] = hit_latencies(hit_ms, int(hit.sum()))
    if requests is None:
        # Where there are no durations, there are no latencies.
        known = ~np.isnan(accesses.took_ms)
        return Latencies(accesses.took_ms[known], changed[known], blocks_of(accesses.run[known], accesses.at_s[known]))
    saved = pd.Series(accesses.took_ms - changed).groupby(accesses.owner).sum()
    part = requests[requests.index.isin(saved.index)]
    before = part["latency_ms"].to_numpy(dtype="float64")
    less = saved.reindex(part.index).to_numpy(dtype="float64")
    at_s = (part["start"] - part["start"].min()).dt.total_seconds().to_numpy(dtype="float64")
    run = pd.factorize(part["run"])[0].astype("int64") if "run" in part else np.zeros(len(part), dtype="int64")
    return Latencies(before, np.maximum(before - less, 0.0), blocks_of(run, at_s))


def blocks_of(run: Ints, at_s: Floats) -> Ints:
    """About 20 blocks of equal time, none with two runs in it."""
    if not len(run):
        return np.zeros(0, dtype="int64")
    runs = len(np.unique(run))
    each = max(1, math.ceil(_BLOCKS / runs))
    place = np.zeros(len(run), dtype="int64")
    for code in np.unique(run).tolist():
        mine = run == code
        times = at_s[mine] - at_s[mine].min()
        place[mine] = np.minimum((times / (times.max() or 1.0) * each).astype("int64"), each - 1)
    blocks: Ints = pd.factorize(run * each + place)[0].astype("int64")
    return blocks
