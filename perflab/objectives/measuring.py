"""What an objective's metric is, from an interval over runs, and what its limit makes of that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from perflab.data.tables import AGGREGATED
from perflab.metrics import COUNT, RATE, SHARE
from perflab.notes import Note
from perflab.objectives import cautions
from perflab.objectives.cells import Evidence, Flags, Part, Reduced
from perflab.objectives.objective import Objective
from perflab.objectives.offered import as_far_as_offered
from perflab.stats import intervals, visits
from perflab.stats.estimates import Floats, by_run, quantile

VERDICTS = ("holds", "fails", "inconclusive")
OVER_RUNS, THIS_RUN = "over runs", "this run only"
Found = Mapping[tuple[int, str], Mapping[str, Reduced]]


def of_requests(goal: Objective) -> bool:
    """Whether it is computed from single requests."""
    metric = goal.measure
    return metric.table not in ("checks", "cached") and (metric.is_latency or metric.kind in (RATE, COUNT, SHARE))


def measure(goal: Objective, data: Evidence, endpoint: str, reduced: Found) -> dict[str, Any]:
    """measured, low, high, runs, interval, verdict, reason of one objective."""
    metric = goal.measure
    if metric.table == "checks":
        return _events(goal, data.checks(endpoint))
    if metric.table == "cached":
        outcomes = data.cached(endpoint)
        return _events(goal, outcomes) if outcomes else {"reason": cautions.NOT_RECORDED(metric=metric.label)}
    if not of_requests(goal):
        return _by_run(goal, data, endpoint)
    parts = reduced[id(goal), endpoint]
    if metric.kind in (RATE, COUNT):
        found = _rates(goal, [parts.get(run) for run in data.runs], [data.seconds[run] for run in data.runs])
        return as_far_as_offered(goal, found, data.measured.runs) if metric.kind == RATE else found
    if not parts:
        return {"reason": cautions.NO_REQUESTS()}
    if metric.kind == SHARE and not data.knows_failures:
        return {"reason": cautions.NO_FAILURES_KNOWN()}
    if metric.kind == SHARE:
        only = next(iter(parts.values())).part if len(parts) == 1 else None
        if only is not None:
            return _shares(goal, *_stretches(~only.ok), 1)
        return _shares(
            goal, _floats(p.failed for p in parts.values()), _floats(p.requests for p in parts.values()), len(parts)
        )
    row = _unless_failed(goal, _latencies(goal, list(parts.values())), list(parts.values()))
    return _unless_cut_off(goal, row, list(parts.values()), data, endpoint)


def _floats(values: Iterable[float]) -> Floats:
    return np.array([float(value) for value in values])


def _by_run(goal: Objective, data: Evidence, endpoint: str) -> dict[str, Any]:
    """A metric of which a run has one value: sizes, CPU, memory, I/O."""
    metric = goal.measure
    if endpoint != AGGREGATED and not metric.has_endpoints:
        return {"reason": cautions.WHOLE_RUN(metric=metric.label)}
    (table,) = visits.on_common_pages((by_run(data.measured, [metric], warmup=data.warmup),), [metric])
    each = table.loc[table["endpoint"] == endpoint, metric.name].dropna().to_numpy(dtype="float64")
    if not len(each):
        return {"reason": cautions.NOT_RECORDED(metric=metric.label)}
    if len(each) == 1:
        return {"measured": float(each[0]), "runs": 1, "reason": cautions.ONE_VALUE(metric=metric.label)}
    return _judged(goal, intervals.over_runs(each, relative=metric.relative), len(each), OVER_RUNS, each)


def _latencies(goal: Objective, values: list[Reduced]) -> dict[str, Any]:
    share, fewest = goal.share, min(one.requests for one in values)
    if goal.is_extreme:
        return _extremes(goal, values)
    each = _floats(one.value for one in values)
    metric = goal.measure
    if fewest < metric.rows_needed:
        reason = cautions.TOO_FEW(metric=metric.label, needed=metric.rows_needed, found=fewest)
        return {"measured": metric.typical(each), "runs": len(values), "reason": reason}
    only = values[0].part
    if only is None:
        return _judged(goal, intervals.over_runs(each), len(values), OVER_RUNS, each)
    if share is None:
        return _judged(goal, intervals.mean_within(only.latency), 1, THIS_RUN, each)
    return _judged(goal, intervals.quantile_within(only.latency, share, rank=float(each[0])), 1, THIS_RUN, each)


def _unless_failed(goal: Objective, row: dict[str, Any], values: list[Reduced]) -> dict[str, Any]:
    """The row, inconclusive where it holds only because requests that failed were fast: as many as the quantile excludes."""
    failed = sum(one.failed for one in values) / max(1, sum(one.requests for one in values))
    if row.get("verdict") != "holds" or goal.operator not in ("<", "<=") or not failed:
        return row
    if failed < 1 - (goal.share if goal.share is not None else 0.5):
        return row
    reason = cautions.TAIL_FAILS(metric=goal.measure.label, failed_fraction=failed)
    return row | {"verdict": "inconclusive", "reason": reason, "low": math.nan, "high": math.nan, "interval": "–"}


def _unless_cut_off(
    goal: Objective, row: dict[str, Any], values: list[Reduced], data: Evidence, endpoint: str
) -> dict[str, Any]:
    """The row, inconclusive where it holds only because a timeout or the last bucket of a histogram cuts latencies off."""
    each = [one.value for one in values]
    top, only = max(each), values[0].part
    if row.get("verdict") != "holds" or goal.operator not in ("<", "<=") or goal.share is None:
        return row
    # Runs that a limit cuts off agree exactly.
    if 2 * each.count(top) <= len(each) or (only is not None and float(only.latency.max()) > top):
        return row
    names = data.endpoints if endpoint == AGGREGATED else [endpoint]
    asked = [(endpoint, partial(_far, top=top)), *((name, partial(cut_off, top=top)) for name in names)]
    far, *cut = data.reduced([(name, goal.only_ok, False, how) for name, how in asked])
    if 2 * sum(one.value for one in far.values()) <= len(each) or not any(
        one.value for own in cut for one in own.values()
    ):
        return row
    reason = cautions.AT_CEILING(metric=goal.measure.label, limit_ms=top)
    return row | {"verdict": "inconclusive", "reason": reason}


def _far(part: Part, top: float) -> float:
    """Whether this is the largest latency, and far from the others."""
    return float(part.latency.max() == top > 2 * np.median(part.latency))


def cut_off(part: Part, top: float) -> float:
    """Whether latencies end there, unlike fixed ones (one or two values) and unlike the ticks of a clock."""
    steps = np.diff(np.unique(part.latency))
    return float(part.latency.max() == top and len(steps) > 1 and steps[-1] > 1.5 * steps.min())


def value_of(goal: Objective, part: Part) -> float:
    """The value of one run, where the objective limits a latency."""
    values = part.latency
    if not goal.measure.is_latency:
        return math.nan
    if goal.is_extreme:
        return float(values.max() if goal.measure.is_maximum else values.min())
    if goal.share is None:
        return float(values.mean())
    if goal.method == "linear":
        return float(np.quantile(values, goal.share))
    return float(quantile(values, [goal.share])[0])


def _extremes(goal: Objective, values: list[Reduced]) -> dict[str, Any]:
    """A limit on every request: one that breaks it refutes it, and none can prove it."""
    extreme = (max if goal.measure.is_maximum else min)(one.value for one in values)
    found = {"measured": extreme, "runs": len(values)}
    if not goal.met_by(extreme):
        return found | {"verdict": "fails", "reason": cautions.REFUTED(requests=sum(one.requests for one in values))}
    return found | {"reason": cautions.NOT_PROVABLE()}


def _rates(goal: Objective, parts: list[Reduced | None], seconds: list[float]) -> dict[str, Any]:
    counts = _floats(p.requests if p is not None else 0 for p in parts)
    if goal.measure.kind == COUNT:
        return _judged(goal, intervals.over_runs(counts), len(counts), OVER_RUNS, counts) if len(counts) > 1 else (
            _judged(goal, (counts[0], counts[0], counts[0]), 1, THIS_RUN, counts))  # fmt: skip
    if min(seconds) <= 0:
        return {"reason": cautions.NO_LENGTH()}
    rates = counts / np.array(seconds)
    if len(rates) > 1:
        return _judged(goal, intervals.over_runs(rates), len(rates), OVER_RUNS, rates)
    if counts[0] < 2 * intervals.BATCHES or parts[0] is None or parts[0].part is None:
        return {"measured": float(rates[0]), "runs": 1, "reason": cautions.TOO_FEW_FOR_RATE()}
    at = parts[0].part.at
    edges = np.linspace(0, at.max(), intervals.BATCHES + 1)
    each = np.histogram(at, edges)[0] / (edges[1] - edges[0])
    _, low, high = intervals.mean_within(each)
    half = (high - low) / 2
    return _judged(goal, (float(rates[0]), float(rates[0]) - half, float(rates[0]) + half), 1, THIS_RUN, rates)


def _events(goal: Objective, by_run: list[Flags]) -> dict[str, Any]:
    """A share of events by run, or by batch of the only run."""
    if len(by_run) == 1:
        return _shares(goal, *_stretches(by_run[0]), 1)
    counts = np.array([float(len(events)) for events in by_run])
    return _shares(goal, np.array([float(events.sum()) for events in by_run]), counts, len(by_run))


def _stretches(events: Flags) -> tuple[Floats, Floats]:
    """Events and requests in each batch of one run."""
    pieces = np.array_split(events, min(intervals.BATCHES, len(events)))
    return np.array([float(p.sum()) for p in pieces]), np.array([float(len(p)) for p in pieces])


def _shares(goal: Objective, events: Floats, counts: Floats, runs: int) -> dict[str, Any]:
    if not counts.sum():
        return {"reason": cautions.NO_EVENTS()}
    each = events / counts
    return _judged(goal, intervals.share(events, counts), runs, OVER_RUNS if runs > 1 else THIS_RUN, each)


def _judged(goal: Objective, found: intervals.Interval, runs: int, interval: str, each: Floats) -> dict[str, Any]:
    measured, low, high = found
    word = verdict(goal, low, high)
    # No interval reaches below zero.
    row = {
        "measured": measured,
        "low": max(0.0, low),
        "high": high,
        "runs": runs,
        "interval": interval,
        "verdict": word,
    }
    return row | {"reason": _reason(goal, word, found, runs, each)}


def verdict(goal: Objective, low: float, high: float) -> str:
    """The verdict on one objective: a small function over an interval and a limit.

    >>> verdict(Objective("p95", "<", 200), 180.0, 195.0), verdict(Objective("p95", "<", 200), 190.0, 210.0)
    ('holds', 'inconclusive')
    """
    bound = goal.bound
    if goal.operator in ("==", "!="):
        same, apart = low == high == bound, not low <= bound <= high
        word = "holds" if same else "fails" if apart else "inconclusive"
        return word if goal.operator == "==" else {"holds": "fails", "fails": "holds"}.get(word, word)
    ends = (goal.met_by(low), goal.met_by(high))
    return "holds" if all(ends) else "inconclusive" if any(ends) else "fails"


def _reason(goal: Objective, word: str, found: intervals.Interval, runs: int, each: Floats) -> Note:
    measured, low, high = found
    broken = sum(not goal.met_by(float(v)) for v in each)
    if word != "inconclusive":
        holds = word == "holds"
        odd = broken if holds else len(each) - broken
        if odd and runs > 1:
            return (cautions.SOME_BREAK if holds else cautions.SOME_MEET)(odd=odd, runs=runs)
        return (cautions.MEETS if holds else cautions.BREAKS)()
    is_share = goal.measure.kind == SHARE
    if is_share and goal.bound in (0.0, 1.0):
        reached = goal.written(high if goal.bound == 0 else low)
        return cautions.NOT_PROVABLE_SHARE(reached=reached, limit=goal.written(goal.bound))
    gap = abs(measured - goal.bound)
    half = max(measured - low, high - measured)
    if gap <= half / 10:
        return cautions.AT_LIMIT()
    # Without a single event the upper limit shrinks with the number of requests, not with its root.
    power = 1 if is_share and measured in (0.0, 1.0) else 2
    return cautions.MORE_RUNS(more=math.ceil(runs * (half / gap) ** power) - runs + 1)
