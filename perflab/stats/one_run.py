"""What a single run shows about itself: an interval that allows for the order of its requests, and no more.

Two runs of the same code differ by more than either varies within, so nothing here decides anything.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError
from perflab.metrics import MEAN, RATE, SHARE, Floats, Metric, quantile
from perflab.notes import PYTHON, Note, notes_of, written
from perflab.results import Result, Shown
from perflab.stats import doubts, estimates
from perflab.stats.estimates import Codes, Requests, requests_of, streamed
from perflab.stats.intervals import design_effect
from perflab.stats.warmup import declared
from perflab.units import format_ms, format_value

BLOCKS = 30
DRAWS = 2_000
_GRID = 400
_UNKNOWN = {SHARE: doubts.NO_FAILURES, RATE: doubts.NO_LENGTH}
_LEAST = 5
"""Fewer requests per block, on average, say nothing about autocorrelation."""


def quantile_interval(values: npt.ArrayLike, q: float = 0.95, *, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a quantile of independent values, whatever their distribution.

    Parameters
    ----------
    values : array-like
        Independent numbers (repetitions of a microbenchmark, one number per run), in any unit.
    q : float
        The quantile, between 0 and 1.
    confidence : float
        At least this confidence.

    Returns
    -------
    (low, high)
        Two of the values, in their unit. The number of values below the quantile is binomial, so the interval has the
        requested coverage, or a little more. Requests of a load test are not independent: use `within` for one run,
        `compare` for a change. Conover (1999), Practical nonparametric statistics, section 3.2.

    Raises
    ------
    ValueError
        No values, values not finite, q or confidence not between 0 and 1, or too few values for two limits (72 for p95).

    >>> low, high = quantile_interval(np.arange(1000.0), 0.5)
    >>> int(low), int(high)
    (468, 531)
    """
    numbers = np.asarray(values, dtype="float64").ravel()
    if not 0 < q < 1 or not 0 < confidence < 1:
        raise ValueError(f"q and confidence must be between 0 and 1; got q={q!r}, confidence={confidence!r}")
    count, tail = len(numbers), (1 - confidence) / 2
    needed = math.ceil(math.log(tail) / math.log(max(q, 1 - q)) - 1e-9)
    if count < needed or not np.isfinite(numbers).all():
        raise ValueError(f"values must be {needed} or more finite numbers; got {count}")

    def below(rank: int) -> float:
        """The probability that the value of this rank is above the quantile: that no more than so many lie below it."""
        return float(special.bdtr(rank, count, q))

    ranks = range(count)
    low, high = max(bisect_right(ranks, tail, key=below) - 1, 0), bisect_left(ranks, 1 - tail, key=below)
    picked = np.partition(numbers, [low, high])
    return float(picked[low]), float(picked[high])


@dataclass(frozen=True, repr=False)
class Within(Result):
    """The result of `within`: ``table`` has a row for each run and endpoint, ``warnings`` what to be careful about."""

    table: pd.DataFrame
    metric: str
    confidence: float
    warnings: tuple[Note, ...] = field(default=())

    @property
    def sentence(self) -> str:
        """The interval of all requests of the (first) run, in one line."""
        row, metric = self.table.iloc[0], Metric.of(self.metric)
        if row["low"] != row["low"]:
            return f"{metric.label} of run {row['run']}: {row['reason']}"
        low, high, value = (metric.format(row[c]) for c in ("low", "high", "value"))
        return (
            f"{metric.label} of all requests of run {row['run']} was {value} ({self.confidence * 100:g} % interval {low} "
            f"to {high}, of this run only: another run of the same code may differ by more)"
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the rows and the notes for a surface."""
        metric = Metric.of(self.metric)
        texts = {c: [metric.format(v) for v in self.table[c]] for c in ("value", "low", "high")}
        shown = self.table.drop(columns="unit").assign(**texts)
        shown = shown.assign(design_effect=[format_value("", v) for v in self.table["design_effect"]])
        return Shown(self.sentence, shown, written(self.warnings, surface), ours=True)


def within(
    run: Measurements | pd.DataFrame,
    metric: str = "p95",
    *,
    confidence: float = 0.95,
    warmup: float | str | None = None,
) -> Within:
    """How precisely one run determines its own metric: a block-bootstrap interval that holds for this run only.

    Parameters
    ----------
    run : Measurements (or a requests table), usually of one run; several are taken one at a time.
    metric : "p95" or any ``"p<q>"``, "mean", "throughput_per_s", "error_fraction".
    confidence : of the interval.
    warmup : the share to leave out at the start; by default the plan's, or 10 %.

    Returns
    -------
    Within. Its table: run, endpoint, metric, unit, count, value, low, high, design_effect, reason. ``design_effect`` is
    the factor by which dependence between requests inflates the variance: at 12, 12,000 requests are worth 1,000
    independent ones (of the share beyond the quantile, by batch means).

    Successive requests are correlated, so whole blocks of them (30 per run, in order) are resampled: Carlstein
    (1986), The use of subseries values for estimating the variance of a general statistic, Annals of Statistics 14; widened
    by Student's t for the number of blocks. It does not cover the next run: for that, repeat the run and `compare`.

    Raises
    ------
    MissingTableError : no requests. ValueError : an unknown metric.

    >>> import perflab as lab
    >>> one = lab.load("datasets/shop_runs").where(arm="n+1", pair=1)
    >>> found = lab.stats.within(one, "p95")
    >>> int(found.table["count"][0]), "of this run only" in found.sentence
    (461, True)
    """
    wanted = Metric.of(metric)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1; got {confidence!r}")
    held = requests_of(run)
    share = declared([held], warmup)
    requests = streamed(held)
    table = estimates.by_run(requests, [metric], warmup=share)
    named = table.rename(columns={metric: "value", "count": "count_"})
    rows = [
        _row(one, r.run, r.endpoint, int(r.count_), wanted, share, confidence, float(r.value))
        for run, own in named.groupby("run", sort=False)
        for one in [requests.only(str(run))]
        for r in own.itertuples()
    ]
    return Within(pd.DataFrame(rows), metric, confidence, notes_of((doubts.THIS_RUN(), *held.warnings)))


def _row(
    requests: Requests,
    run: str,
    endpoint: str,
    count: int,
    metric: Metric,
    warmup: float,
    confidence: float,
    value: float,
) -> dict[str, object]:
    low = high = effect = math.nan
    # Fewer make blocks too short to capture autocorrelation: the interval covers much less than it claims.
    reason = too_few(metric, count, least=metric.rows_needed) or (_unknown(metric) if math.isnan(value) else None)
    if not reason:
        chosen = of_one(requests, run, endpoint, warmup)
        drawn = draws(chosen, metric, seed=0)
        low, high = limits(drawn, value, confidence, relative=metric.relative)
        effect = _inflation(chosen, metric)
    return {
        "run": run, "endpoint": endpoint, "metric": metric.name, "unit": metric.unit, "count": count, "value": value,
        "low": low, "high": high, "design_effect": effect, "reason": str(reason or ""),
    }  # fmt: skip


def _unknown(metric: Metric) -> Note:
    return _UNKNOWN[metric.kind]() if metric.kind in _UNKNOWN else doubts.NO_RATIO(metric=metric.label)


def too_few(metric: Metric, count: int, seconds: float = math.nan, *, least: int | None = None) -> Note | None:
    """Why so few requests are not enough for this metric; ``least`` replaces the floor of a verdict."""
    if metric.is_maximum:
        return doubts.MAXIMUM()
    least = metric.rows_floor if least is None else least
    if count >= least:
        return None
    enough = seconds * metric.rows_needed / count if count else math.nan
    length = f" (about {format_ms(enough * 1e3)} at this rate)" if math.isfinite(enough) and enough > 0 else ""
    return doubts.TOO_FEW(metric=metric.label, needed=least, found=count, length=length)


def of_one(requests: Requests, run: str, endpoint: str, warmup: float) -> Requests:
    """One run's requests to one endpoint, in start order."""
    mask = (requests.run == requests.runs.index(run)) & (requests.age >= warmup)
    if endpoint != AGGREGATED:
        if endpoint not in requests.endpoints:
            raise ComparisonError(f"there are no requests to {endpoint!r}")
        mask &= requests.endpoint == requests.endpoints.index(endpoint)
    rows = np.flatnonzero(mask)
    return requests.take(rows[np.argsort(requests.age[rows], kind="stable")])


def draws(requests: Requests, metric: Metric, *, seed: int) -> Floats:
    """The metric under resampling of whole blocks of one run."""
    count = len(requests.latency)
    blocks = max(2, min(BLOCKS, count // _LEAST))
    weights = _resampled(blocks, seed)
    block = np.arange(count) * blocks // count
    if metric.share is not None:
        return _quantile_draws(requests.latency, block, blocks, weights, metric.share)
    if metric.kind == RATE:
        seconds = float(requests.seconds[requests.run[0]]) * (1 - float(requests.age.min()))
        span = requests.age - requests.age.min()
        timed = np.minimum((span / max(float(span.max()), 1e-12) * blocks).astype("int64"), blocks - 1)
        found: Floats = weights @ np.bincount(timed, minlength=blocks) / max(seconds, 1e-12)
        return found
    values = _averaged(requests, metric)
    sums, sizes = np.bincount(block, weights=values, minlength=blocks), np.bincount(block, minlength=blocks)
    return np.asarray((weights @ sums) / (weights @ sizes))


def _averaged(requests: Requests, metric: Metric) -> Floats:
    """The values whose mean the metric is."""
    if metric.kind == MEAN:
        return requests.latency if metric.is_latency or requests.size is None else requests.size
    if metric.slower_ms is not None:
        return (requests.latency > metric.slower_ms).astype("float64")
    return requests.failed.astype("float64")


@lru_cache(maxsize=8)
def _resampled(blocks: int, seed: int) -> Floats:
    """How often each block is drawn: resamples x blocks. The same for every endpoint of a comparison."""
    weights = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS).astype("float64")
    weights.flags.writeable = False
    return weights


def _quantile_draws(latency: Floats, block: Codes, blocks: int, weights: Floats, share: float) -> Floats:
    """Quantiles of resampled blocks, from the blocks' distribution functions on a grid around the quantile."""
    count = len(latency)
    over = np.bincount(block, weights=latency > quantile(latency, [share])[0], minlength=blocks)
    spread = max(float(over.std(ddof=1)) * math.sqrt(blocks) / count, math.sqrt(share * (1 - share) / count))
    levels = np.linspace(max(0.0, share - 7 * spread), min(1.0, share + 7 * spread), _GRID)
    grid = quantile(latency, levels.tolist())
    cell = np.searchsorted(grid, latency, side="left")
    table = np.bincount(block * (_GRID + 1) + cell, minlength=blocks * (_GRID + 1)).reshape(blocks, -1)
    below = np.cumsum(table, axis=1)[:, :_GRID]
    sizes = np.bincount(block, minlength=blocks)
    reached = weights @ below.astype("float64") >= share * (weights @ sizes)[:, None]
    return np.asarray(grid[np.where(reached.any(1), reached.argmax(1), _GRID - 1)])


def limits(drawn: Floats, value: float, confidence: float, *, relative: bool) -> tuple[float, float]:
    """The percentile interval around the value, widened by t for the number of blocks."""
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    if relative and value > 0 and (drawn > 0).all():
        low, high = widened(np.log(drawn), math.log(value), tails)
        return min(math.exp(low), value), max(math.exp(high), value)
    low, high = widened(drawn, value, tails)
    return max(0.0, min(low, value)), max(high, value)


def widened(drawn: Floats, value: float, tails: Sequence[float]) -> tuple[float, float]:
    """Percentile limits, their distance from the value stretched by t over normal for the number of blocks."""
    low, high = np.quantile(drawn, tails)
    stretch = float(special.stdtrit(BLOCKS - 1, tails[1]) / special.ndtri(tails[1])) * math.sqrt(BLOCKS / (BLOCKS - 1))
    return value - stretch * (value - float(low)), value + stretch * (float(high) - value)


def _inflation(requests: Requests, metric: Metric) -> float:
    """The design effect of one run's requests; NaN where it is undefined."""
    if metric.share is not None:
        values = (requests.latency > quantile(requests.latency, [metric.share])[0]).astype("float64")
    else:
        values = _averaged(requests, metric)
    if metric.kind == RATE or values.std() == 0:
        return math.nan
    return design_effect(values, max(2, min(BLOCKS, len(values) // _LEAST)))
