"""Objectives that abort a run, checked during the run."""

from __future__ import annotations

import math

from perflab.data.tables import AGGREGATED
from perflab.loadtest import reasons
from perflab.loadtest.tail import Snapshot
from perflab.metrics import MEAN, RATE, SHARE, Metric
from perflab.notes import Note
from perflab.objectives import Objective

_FEWEST = 20


def can_be_watched(objective: Objective) -> bool:
    """Whether live records can evaluate it: latency, errors or throughput of all requests."""
    metric = Metric.of(objective.metric)
    known = metric.table == "requests" and (metric.is_latency or metric.kind in (RATE, SHARE)) and metric.share != 0
    return (
        known and objective.endpoint == AGGREGATED and not objective.only_ok and objective.operator not in ("==", "!=")
    )


def broken(objective: Objective, so_far: Snapshot) -> Note | None:
    """The note on how a run broke an objective that may abort it; None while it has not.

    Latencies and errors are those of all requests so far (from the 20th on; quantiles to one per cent), the throughput is
    that of the last seconds.
    """
    if not objective.abort or so_far.elapsed_s * 1e3 < objective.delay_ms or so_far.requests < _FEWEST:
        return None
    value = _measured(Metric.of(objective.metric), so_far)
    if math.isnan(value) or objective.met_by(value):
        return None
    return reasons.STOPPED_BY_OBJECTIVE(
        objective=str(objective), measured=objective.written(value), after_ms=so_far.elapsed_s * 1e3
    )


def _measured(metric: Metric, so_far: Snapshot) -> float:
    if metric.kind == SHARE:
        return so_far.errors / so_far.requests
    if metric.kind == RATE:
        return so_far.requests_per_s
    if metric.kind == MEAN:
        return float(so_far.latency.sums.sum()) / max(1, so_far.latency.count)
    return so_far.latency.largest if metric.is_maximum else so_far.latency.quantile(metric.share or 0.0)
