"""Objectives that end a run before its time, judged while it goes on."""

from __future__ import annotations

import math

from perflab.data.tables import AGGREGATED
from perflab.loadtest.tail import Sight
from perflab.objectives import Objective
from perflab.units import format_ms

_FEWEST = 20


def can_be_watched(objective: Objective) -> bool:
    """Whether the live records tell it: latencies, errors and throughput of all requests."""
    known = objective.metric not in ("min", "count", "check_fraction")
    return (
        known and objective.endpoint == AGGREGATED and not objective.only_ok and objective.operator not in ("==", "!=")
    )


def broken(objective: Objective, sight: Sight) -> str | None:
    """In words, how a run has broken an objective that may end it; None while it has not.

    Latencies and errors are those of all requests so far (from the 20th on; a quantile is known to one per cent),
    the throughput is that of the last seconds.
    """
    if not objective.abort or sight.elapsed_s * 1e3 < objective.delay_ms or sight.requests < _FEWEST:
        return None
    value = _measured(objective, sight)
    if math.isnan(value) or objective.met_by(value):
        return None
    measured, after = objective.written(value), format_ms(sight.elapsed_s * 1e3)
    return f"stopped early by the objective {objective}: it was {measured} after {after}"


def _measured(objective: Objective, sight: Sight) -> float:
    if objective.metric == "error_fraction":
        return sight.errors / sight.requests
    if objective.metric == "throughput_per_s":
        return sight.requests_per_s
    if objective.metric == "mean":
        return float(sight.latency.sums.sum()) / max(1, sight.latency.count)
    return sight.latency.largest if objective.metric == "max" else sight.latency.quantile(objective.share or 0.0)
