"""From one number per run to an effect on each endpoint: gates, scale, least variance, and the design's test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.data.kept_statistics import Arrays
from perflab.data.tables import AGGREGATED
from perflab.metrics import MEAN, QUANTILE, RATE, SHARE, SLOW, VITAL, Metric
from perflab.notes import Note
from perflab.stats import doubts, one_run, tests
from perflab.stats.coded_requests import Requests, Streamed
from perflab.stats.design import ARMS, SAME, Design
from perflab.stats.tests import Effect, Floats
from perflab.stats.warmup import Warmup

Both = tuple[Requests | Streamed, Requests | Streamed]
_COARSE = 10
"""Steps of the coarsest clock that fixed latencies may come from."""


@dataclass(frozen=True)
class Judged:
    """One metric of one endpoint, before the correction for multiple testing.

    ``values`` are the metric of each run, ``scaled`` the same on the scale of the analysis (ln, or unchanged), ``floor``
    the least variance of the mean difference. ``obstacle`` rules out any verdict, ``undirected`` one with a direction.
    ``limits`` is the 95 % interval of the effect, on the scale of the analysis.
    """

    endpoint: str
    metric: Metric
    values: tuple[Floats, Floats]
    scaled: tuple[Floats, Floats]
    floor: float
    effect: Effect | None
    limits: tuple[float, float]
    margin: float
    obstacle: Note | None
    undirected: Note | None = None

    @property
    def testable(self) -> bool:
        """Whether it belongs to the corrected family: a row that cannot get a verdict does not count."""
        return self.effect is not None and not self.obstacle


def judge(
    values: tuple[pd.DataFrame, pd.DataFrame],
    requests: Both,
    metric: Metric,
    design: Design,
    warmup: Warmup,
    margins: tuple[float, float],
) -> list[Judged]:
    """Every endpoint's effect on one metric; ``values`` are `by_run` of the arms, ``margins`` for ratios and differences."""
    endpoints = list(dict.fromkeys([*values[0]["endpoint"], *values[1]["endpoint"]]))
    endpoints = endpoints if metric.has_endpoints else [AGGREGATED]
    if metric.kind == VITAL:  # a page without interactions has no INP
        known = {e for v in values for e in v.loc[v[metric.name].notna(), "endpoint"]} | {AGGREGATED}
        endpoints = [endpoint for endpoint in endpoints if endpoint in known]
    both = [_wide(v, [metric.name, "count"], endpoints, runs) for v, runs in zip(values, design.sides, strict=True)]
    wide, counts = [found for found, _ in both], [np.nan_to_num(count) for _, count in both]
    if metric.kind == QUANTILE:
        # A quantile that `summarize` leaves out is missing here too.
        wide = [np.where((c > 0) & (c < metric.needs(1)), np.nan, w) for w, c in zip(wide, counts, strict=True)]
    # A quantile that falls among a run's failures is infinite, and forms no ratio.
    finite = [np.where(np.isinf(w), np.nan, w) for w in wide]
    scaled = [metric.scaled(w) for w in finite]
    tick = _tick(requests) if metric.is_latency else metric.tick
    floors = _floors(metric, finite, counts, tick)
    effect = effect_of(scaled[0], scaled[1], floors, design)
    judged = []
    for i, endpoint in enumerate(endpoints):
        pair = (scaled[0][i], scaled[1][i])
        own = _at(effect, i) if effect and np.isfinite(pair[0]).all() and np.isfinite(pair[1]).all() else None
        raw = (wide[0][i], wide[1][i])
        judged.append(
            Judged(
                endpoint,
                metric,
                raw,
                pair,
                float(floors[i]),
                own,
                _limits(own, requests, endpoint, metric, design, warmup, pair),
                metric.margin(*margins),
                design.obstacle
                or _gate(metric, (counts[0][i], counts[1][i]), requests)
                or _degenerate(metric, pair, own),
                _ticked((finite[0][i], finite[1][i]), 0.0 if metric.kind == MEAN or metric.unit != "ms" else tick),
            )
        )
    return judged


def _wide(values: pd.DataFrame, columns: Sequence[str], endpoints: Sequence[str], runs: Sequence[str]) -> list[Floats]:
    """Each column as endpoints x runs, NaN where a run has none."""
    rows, places = ({name: i for i, name in enumerate(names)} for names in (endpoints, runs))
    row = np.array([rows.get(name, -1) for name in values["endpoint"].to_list()], dtype="intp")
    place = np.array([places.get(name, -1) for name in values["run"].to_list()], dtype="intp")
    known = (row >= 0) & (place >= 0)
    found = np.full((len(columns), len(endpoints), len(runs)), math.nan)
    for own, column in zip(found, columns, strict=True):
        own[row[known], place[known]] = values[column].to_numpy(dtype="float64")[known]
    return list(found)


def effect_of(baseline: Floats, candidate: Floats, floors: Floats, design: Design) -> Effect | None:
    """The design's test, of all endpoints at once."""
    sizes = baseline.shape[-1], candidate.shape[-1]
    if design.kind == SAME:
        return None
    if design.covariates is not None:
        return design.covariates.effect(baseline, candidate, floors, pairs=design.paired)
    if design.kind == "pairs":
        return tests.paired(baseline, candidate, floors)
    if design.kind == "few pairs":
        slots = [np.broadcast_to(s, baseline.shape) for s in design.slots]
        return tests.few_pairs(baseline, candidate, slots[0], slots[1], floors)
    if design.kind == "history":
        return tests.against_history(baseline, candidate[..., 0], floors)
    return tests.welch(baseline, candidate, floors) if min(sizes) >= 2 else None


def _at(effect: Effect, place: int) -> Effect:
    return Effect(effect.difference[place], effect.error[place], effect.degrees[place])


def _gate(metric: Metric, counts: tuple[Floats, Floats], requests: Both) -> Note | None:
    """Why the runs have too few requests for this metric."""
    empty = [int((c == 0).sum()) for c in counts]
    for arm, own, c in zip(ARMS, empty, counts, strict=True):
        if own == len(c):
            return doubts.NO_REQUESTS(arm=arm)
    if sum(empty):
        return doubts.RUNS_WITHOUT(without=sum(empty), runs=sum(map(len, counts)))
    shortest = min(float(np.min(side.seconds, initial=math.inf)) for side in requests)
    return one_run.too_few(metric, int(min(c.min() for c in counts)), shortest)


def _degenerate(metric: Metric, scaled: tuple[Floats, Floats], effect: Effect | None) -> Note | None:
    if metric.kind in (SHARE, SLOW) and any(np.isnan(s).any() for s in scaled):
        return doubts.NO_FAILURES()
    if not all(np.isfinite(s).all() for s in scaled):
        return doubts.NO_RATIO(metric=metric.label)
    if effect is not None and effect.error == 0 and effect.difference != 0:
        return doubts.NO_VARIANCE()
    return None


def _tick(requests: Both) -> float:
    """The resolution of the latencies in ms where a tool rounds them to 0.01 ms or worse, else 0 (fine enough)."""
    for digits, steps in enumerate(zip(*(side.ticks.tolist() for side in requests), strict=True)):
        if min(steps) >= 0:
            # A clock of 10 ms writes whole milliseconds too: the tick is the greatest common divisor. That of a few fixed
            # latencies (a sleep of 200 ms, hits and misses of a cache) is no clock's.
            tick = int(np.gcd.reduce(steps))
            coarse = math.gcd(tick, _COARSE)
            return (tick if tick == coarse or _neighbours(requests, tick / 10.0**digits) else coarse) / 10.0**digits
    return 0.0


def _neighbours(requests: Both, tick: float) -> bool:
    """Whether a run has requests to an endpoint that differ by one tick, as any clock of that tick shows."""
    return any(piece.found["near"][0] for side in requests for piece in side.each(neighbours_of, tick, keep=False))


def neighbours_of(part: Requests, tick: float) -> Arrays:
    """Whether latencies of a run and an endpoint differ by one tick."""
    order = np.lexsort([part.latency, part.endpoint, part.run])
    run, endpoint, latency = part.run[order], part.endpoint[order], part.latency[order]
    near = np.abs(np.diff(latency) - tick) < tick / 4
    return {"near": np.array([(near & (np.diff(run) == 0) & (np.diff(endpoint) == 0)).any()])}


def _ticked(values: tuple[Floats, Floats], tick: float) -> Note | None:
    """Why rounding rules out a direction."""
    typical = [float(np.mean(v)) for v in values]
    if not tick or not abs(typical[1] - typical[0]) <= tick or min(typical) > 100 * tick:
        return None
    return doubts.TICK(tick_ms=tick)


def _floors(metric: Metric, values: Sequence[Floats], counts: Sequence[Floats], tick: float) -> Floats:
    """The least variance of the mean difference: what counting and rounding alone would give.

    Runs can agree by chance (no error in any of them), so a variance of zero is not certainty.
    """
    size = [np.maximum(c, 1.0) for c in counts]
    if metric.kind in (SHARE, SLOW):
        failed = sum(np.nan_to_num(v * c).sum(-1) for v, c in zip(values, counts, strict=True))
        share = (failed + 0.5) / (sum(c.sum(-1) for c in counts) + 1)
        single = [(share * (1 - share))[:, None] / s for s in size]
    elif metric.kind == RATE:
        single = [1 / 12 / s**2 for s in size]
    elif metric.kind == VITAL and not metric.relative:
        single = [np.full(s.shape, tick**2 / 12) for s in size]
    else:
        single = [_rounded(v, c, tick, mean=metric.kind == MEAN) for v, c in zip(values, size, strict=True)]
    found: Floats = sum((s.sum(-1) / s.shape[-1] ** 2 for s in single), np.zeros(len(single[0])))
    return found


def _rounded(values: Floats, counts: Floats, tick: float, *, mean: bool) -> Floats:
    """The variance of ln of each run's value that comes from rounding to ticks."""
    with np.errstate(divide="ignore", invalid="ignore"):
        single: Floats = np.nan_to_num((tick / values) ** 2 / 12, posinf=0.0)
        if mean:
            # The rounding errors of many requests average out, unless all fell on one tick.
            return np.where(values % tick == 0, single, single / counts) if tick else single
    # Where all runs fall on neighbouring ticks they may share one rounding error, which more runs do not average out.
    shared = np.max(values, axis=-1) - np.min(values, axis=-1) <= tick
    return np.where(shared[:, None], single * values.shape[-1], single)


def _limits(
    effect: Effect | None,
    requests: Both,
    endpoint: str,
    metric: Metric,
    design: Design,
    warmup: Warmup,
    scaled: tuple[Floats, Floats],
) -> tuple[float, float]:
    if effect is not None:
        low, high = effect.interval(0.95)
        return float(low), float(high)
    alone = design.kind == "one against one" and all(np.isfinite(s).all() for s in scaled)
    if not alone or not metric.has_endpoints or metric.kind == VITAL:
        return math.nan, math.nan
    share = warmup.of(endpoint)
    chosen = [
        one_run.of_one(side.only(runs[0]), runs[0], endpoint, share)
        for side, runs in zip(requests, design.sides, strict=True)
    ]
    if any(len(c.latency) < 2 * one_run.BLOCKS for c in chosen):
        return math.nan, math.nan
    drawn = [one_run.draws(c, metric, seed=i) for i, c in enumerate(chosen)]
    if metric.relative:
        if not all((d > 0).all() for d in drawn):
            return math.nan, math.nan
        drawn = [np.log(d) for d in drawn]
    return one_run.widened(drawn[1] - drawn[0], float(scaled[1][0] - scaled[0][0]), (0.025, 0.975))
