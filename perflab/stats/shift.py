"""The shift of all quantiles at once, so that "p50 better, p99 worse" shows without picking a metric after the fact."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from perflab.data.kept_statistics import Arrays
from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError, one_of
from perflab.metrics import Floats, Metric, quantile
from perflab.notes import PYTHON, Note, joined, notes_of, written
from perflab.results import Result, Shown
from perflab.stats import circumstances, doubts, families, tests
from perflab.stats.compare import compare
from perflab.stats.design import Design, design, without_copies
from perflab.stats.estimates import Requests, Streamed, requests_of, streamed, whose
from perflab.stats.mix import Mix, Weights, counts_by_run, mix_of, mixed_of, one_mix
from perflab.stats.one_run import of_one
from perflab.stats.rows import ERRORS, arms_of
from perflab.stats.tests import Effect
from perflab.stats.warmup import declared

GRID = (*range(5, 100, 5), 97, 98, 99, 99.5, 99.9)
FEW = (10, 25, 50, 75, 90, 95, 99)
LEAST_PAIRS = 8
LEAST_RUNS = 5
"""From here on the band comes from sign flips of whole runs; below, there are too few and Bonferroni is used."""


@dataclass(frozen=True, repr=False, eq=False)
class Shift(Result):
    """The result of `quantile_shift`.

    ``table`` has a row for each quantile: quantile, baseline_ms, candidate_ms, change, low, high (pointwise) and band_low,
    band_high (simultaneous). ``improved`` and ``regressed`` are the quantiles whose band excludes no change.
    """

    table: pd.DataFrame
    endpoint: str
    arms: tuple[str, str]
    method: str
    warnings: tuple[Note, ...] = field(default=())
    capped: Note | None = None

    @property
    def improved(self) -> tuple[float, ...]:
        """Quantiles (0.5 for p50) that certainly fell, simultaneously over all."""
        return tuple(self.table.loc[self.table["band_high"] < 0, "quantile"])

    @property
    def regressed(self) -> tuple[float, ...]:
        """Quantiles that certainly rose, simultaneously over all."""
        return tuple(self.table.loc[self.table["band_low"] > 0, "quantile"])

    @property
    def sentence(self) -> str:
        """Where the distribution moved, in one line."""
        return str(self.answer)

    @property
    def answer(self) -> Note:
        """The answer as a note, whose advice is written for the surface that shows it."""
        what = whose(self.endpoint)
        parts = [
            f"{_ranges(found, list(self.table['quantile']))} {word}"
            for found, word in ((self.improved, "improved"), (self.regressed, "regressed"))
            if found
        ]
        if self.capped and not parts:
            return joined(f"latencies of {what}: inconclusive", self.capped)
        if not parts:
            return joined(f"latencies of {what}: no quantile is certain to have moved ({self.method})")
        rest = "" if len(self.improved) + len(self.regressed) == len(self.table) else "; the others are not certain"
        words = f"latencies of {what}: {', '.join(parts)}{rest}"
        return joined(f"{words} (95 % certain of all quantiles at once; {self.method})")

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the quantiles and the notes for a surface."""
        metric = Metric.of("p50")
        rows = [
            {
                "quantile": _name(row.quantile),
                self.arms[0]: metric.format(row.baseline_ms),
                self.arms[1]: metric.format(row.candidate_ms),
                "change": metric.format_change(row.change),
                "95 % interval": metric.interval(row.low, row.high),
                "95 % band": metric.interval(row.band_low, row.band_high),
            }
            for row in self.table.itertuples()
        ]
        return Shown(self.answer.written(surface), pd.DataFrame(rows), written(self.warnings, surface))


def quantile_shift(
    baseline: Measurements | pd.DataFrame,
    candidate: Measurements | pd.DataFrame,
    *,
    endpoint: str = AGGREGATED,
    warmup: float | str | None = None,
    order: str = "auto",
    allow: str | Collection[str] = (),
) -> Shift:
    """Estimate how much every quantile of the latencies moved, with a band that holds for all of them at once.

    Parameters
    ----------
    baseline, candidate : Measurements or DataFrame
        Several runs each, preferably from `run_pairs`.
    endpoint : str
        One endpoint, or all requests together ("Aggregated").
    warmup, order, allow : optional
        As in `compare`.

    Returns
    -------
    Shift
        Its table has a row for each quantile from p5 to the highest that the requests allow (ten beyond it in each run):
        quantile (0.5 for p50), baseline_ms, candidate_ms (geometric means of the runs), change (relative), low, high,
        band_low, band_high.

        The shift function of Doksum (1974), Empirical probability plots and statistical inference, Annals of Statistics 2,
        with the run as the unit: each quantile of each run is one number. The band is as wide as the 95th percentile of
        the largest |t| over all quantiles under sign flips of whole runs (from 8 pairs, or 5 runs an arm); with fewer
        runs it covers seven quantiles by Bonferroni.

    Raises
    ------
    ComparisonError
        Fewer than three pairs, or three runs an arm; too few requests; what `compare` refuses.
    ValueError
        The endpoint is unknown.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> shift = lab.quantile_shift(runs.where(arm="n+1"), runs.where(arm="eager"), endpoint="GET /orders")
    >>> 0.5 in shift.improved, shift.regressed
    (True, ())
    """
    sides = (requests_of(baseline), requests_of(candidate))
    found = design(*sides, order=order, allow=(allow,) if isinstance(allow, str) else tuple(allow))
    requests = (streamed(sides[0]), streamed(sides[1]))
    found = without_copies(found, requests)
    if found.obstacle or found.kind not in ("pairs", "few pairs", "unpaired"):
        raise ComparisonError(found.obstacle or doubts.ONE_EACH(doubts.INTERLEAVE))
    share = declared(sides, warmup)
    fewest = min(_fewest(side, runs, endpoint, share) for side, runs in zip(requests, found.sides, strict=True))
    many = min(map(len, (found.baseline, found.candidate))) >= (LEAST_PAIRS if found.paired else LEAST_RUNS)
    metrics = [m for m in (Metric.of(f"p{q:g}") for q in (GRID if many else FEW)) if fewest >= m.rows_needed]
    levels = np.array([m.share for m in metrics], dtype="float64")
    if not len(levels):
        raise ComparisonError(
            doubts.TOO_FEW(metric="p50", needed=Metric.of("p50").rows_needed, found=fewest, length="")
        )
    mix = mix_of(requests, found, share) if endpoint == AGGREGATED else None
    numbers = [
        _quantiles(side, runs, endpoint, share, metrics, mix if mix is not None and len(mix.share) else None)
        for side, runs in zip(requests, found.sides, strict=True)
    ]
    if min(float(n.min()) for n in numbers) <= 0:
        raise ComparisonError(doubts.NO_RATIO(metric="a quantile"))
    effect, width, how = _band(np.log(numbers[0]), np.log(numbers[1]), found)
    low, high = effect.interval(0.95)
    table = pd.DataFrame(
        {
            "quantile": levels,
            "baseline_ms": np.exp(np.log(numbers[0]).mean(axis=1)),
            "candidate_ms": np.exp(np.log(numbers[1]).mean(axis=1)),
            "change": np.expm1(effect.difference),
            "low": np.expm1(low),
            "high": np.expm1(high),
            "band_low": np.expm1(effect.difference - width * effect.error),
            "band_high": np.expm1(effect.difference + width * effect.error),
        }
    )
    notes = (
        *found.warnings,
        *((found.capped,) if found.capped else ()),
        *((one_mix(mix),) if mix is not None else ()),
        doubts.CUT(share_fraction=share),
    )
    capped = found.capped or _capped(sides, endpoint, {"warmup": warmup, "order": order, "allow": allow})
    if capped and capped.code == circumstances.MORE_FAIL.code:
        table.loc[table["band_high"] < 0, ["band_low", "band_high"]] = math.nan  # failing fast is not an improvement
    elif capped:
        table[["band_low", "band_high"]] = math.nan
    notes = (*notes, capped) if capped and not found.capped else notes
    return Shift(table, endpoint, arms_of(sides), f"{found.counted}, {how}", notes_of(notes), capped)


def _capped(sides: tuple[Measurements, Measurements], endpoint: str, how: Mapping[str, Any]) -> Note | None:
    """Why quantiles show no direction although `compare` of the median has a design: failures, or another load."""
    primary = () if endpoint == AGGREGATED else endpoint
    change = compare(*sides, metric=["p50", ERRORS.name], primary=primary, **how)
    row, errors = change.find(endpoint, "p50"), change.find(endpoint, ERRORS.name)
    if row.reason_code in (circumstances.ALL_FAILED.code, circumstances.LOAD_DIFFERS.code):
        return row.reasons[0]
    if errors.verdict == "regressed":
        before, after = map(ERRORS.format, errors.typical)
        return circumstances.MORE_FAIL(before=before, after=after)
    return None


def _fewest(requests: Requests | Streamed, runs: Sequence[str], endpoint: str, share: float) -> int:
    """The fewest requests that a run has after the warm-up."""
    if endpoint != AGGREGATED and endpoint not in requests.endpoints:
        raise one_of("endpoint", endpoint, (AGGREGATED, *sorted(requests.endpoints)))
    missing = [run for run in runs if run not in requests.runs]
    if missing:
        raise ComparisonError(f"run {missing[0]} has no requests")
    counts = counts_by_run(requests, runs, requests.endpoints, share)
    return int((counts.sum(0) if endpoint == AGGREGATED else counts[requests.endpoints.index(endpoint)]).min())


def _quantiles(
    requests: Requests | Streamed,
    runs: Sequence[str],
    endpoint: str,
    share: float,
    metrics: Sequence[Metric],
    mix: Mix | None,
) -> Floats:
    """Quantiles of each run, all requests on a common mix if there is one: quantiles x runs."""
    names = tuple(metric.name for metric in metrics)
    if mix is not None:
        pieces = requests.each(mixed_of, names, Weights(mix), share)
    else:
        pieces = requests.each(quantiles_of, names, endpoint, share)
    values = {requests.runs[code]: (piece, i) for piece in pieces for i, code in enumerate(piece.run.tolist())}
    return np.array([[piece.found[name][i] for piece, i in map(values.__getitem__, runs)] for name in names])


def quantiles_of(requests: Requests, names: Sequence[str], endpoint: str, share: float) -> Arrays:
    """Quantiles of each run after the warm-up, by their names; NaN where it has no request to the endpoint."""
    shares = [Metric.of(name).share or 0.0 for name in names]
    found = np.full((len(names), len(requests.runs)), math.nan)
    for place, run in enumerate(requests.runs if endpoint in (AGGREGATED, *requests.endpoints) else ()):
        latency = of_one(requests, run, endpoint, share).latency
        found[:, place] = quantile(latency, shares) if len(latency) else math.nan
    return dict(zip(names, found, strict=True))


def _band(before: Floats, after: Floats, found: Design) -> tuple[Effect, Floats, str]:
    """The effect on each quantile, the width of the band in standard errors, and its method."""
    runs = min(before.shape[1], after.shape[1])
    if found.kind == "pairs":
        effect = tests.paired(before, after)
    elif found.kind == "unpaired":
        effect = tests.welch(before, after)
    else:
        slots = [np.broadcast_to(s, before.shape) for s in found.slots]
        effect = tests.few_pairs(before, after, slots[0], slots[1])
    if runs < (LEAST_PAIRS if found.paired else LEAST_RUNS) or found.kind == "few pairs":
        width = special.stdtrit(effect.degrees, 1 - 0.025 / len(before))
        return effect, width, f"Bonferroni over {len(before)} quantiles"
    largest = _largest_t(before, after, paired=found.paired)
    # Never narrower than a single interval.
    width = np.maximum(float(np.quantile(largest, 0.95, method="higher")), tests.critical(0.95, effect.degrees))
    return effect, width, "band over flipped whole runs"


def _largest_t(before: Floats, after: Floats, *, paired: bool) -> Floats:
    """The largest |t| over the quantiles for each flip of the centred runs."""
    if not paired:
        return np.asarray(families.t_of_residues(before, after).max(1))
    differences = after - before
    return np.asarray(families.t_of_flips(differences - differences.mean(1, keepdims=True)).max(1))


def _name(share: float) -> str:
    return f"p{share * 100:g}"


def _ranges(found: tuple[float, ...], grid: list[float]) -> str:
    """``p5 to p90, p99``: adjacent grid points are joined."""
    places = [grid.index(q) for q in found]
    parts, start = [], places[0]
    for here, following in zip(places, [*places[1:], -1], strict=True):
        if following != here + 1:
            parts.append(_name(grid[start]) if start == here else f"{_name(grid[start])} to {_name(grid[here])}")
            start = following
    return ", ".join(parts)
