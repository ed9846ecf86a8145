"""`attainable`: which limit an objective could have had and hold, with which confidence."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import RATIO, SHARE, Metric
from perflab.objectives.checking import check
from perflab.objectives.objective import Objective
from perflab.stats import intervals
from perflab.stats.estimates import Floats, by_run, endpoints_of, requests_of, without_warmup

CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.975, 0.99)


def attainable(
    measured: Measurements | pd.DataFrame,
    metric: str = "p95",
    endpoint: str | None = AGGREGATED,
    *,
    confidences: Sequence[float] = CONFIDENCES,
    warmup: float | str | None = None,
    allow: str | Collection[str] = (),
) -> pd.DataFrame:
    """The limits that an objective on a metric could have, by the confidence with which it would hold.

    Parameters
    ----------
    measured : Measurements or DataFrame
        The runs of one arm (or a requests table); several runs say more than one.
    metric : str
        "p95" or any ``"p<q>"``, "mean", "throughput_per_s" (a lower limit) or "error_fraction".
    endpoint : str or None
        One endpoint, all requests together ("Aggregated"), or None for each of them in turn.
    confidences : sequence of float
        One-sided, between 0 and 1: `check` decides "holds" at 0.975, the end of its 95 % interval.
    warmup, allow
        As for `check`.

    Returns
    -------
    DataFrame
        endpoint, metric, confidence, limit (in the metric's unit), measured, runs, unit, reason. Latency and errors would
        stay below the limit, throughput above it. Where the runs do not suffice, the limit is missing and reason says why.

    The limit is the end of the interval that `check` uses: Student's over the runs' logarithms, an exact binomial one for
    errors, batch means within a single run.

    Raises
    ------
    ComparisonError, MissingTableError : as `check`. ValueError : bad arguments.

    >>> eager = lab.load("datasets/shop_runs", arm="eager")
    >>> table = lab.objectives.attainable(eager, "p95", "GET /orders", confidences=[0.9, 0.975])
    >>> bool(table.limit[0] < table.limit[1]), lab.check(eager, [f"p95 of GET /orders < {table.limit[1] + 0.1} ms"]).verdict
    (True, 'holds')
    """
    wanted = [float(c) for c in confidences]
    if not wanted or not all(0 < c < 1 for c in wanted):
        raise ValueError(f"confidences must be between 0 and 1; got {confidences!r}")
    kind = Metric.of(metric)
    held = requests_of(measured)
    endpoints = [endpoint] if endpoint else [AGGREGATED, *sorted(endpoints_of(held))]
    checked = check(held, [_goal(kind, e) for e in endpoints], warmup=warmup, allow=allow)
    rows = []
    for name, (_, row) in zip(endpoints, checked.table.iterrows(), strict=True):
        limits = [math.nan] * len(wanted)
        if row["low"] == row["low"]:
            limits = _limits(held, kind, str(row["endpoint"]), checked.warmup, wanted)
        known = {"measured": row["measured"], "runs": row["runs"], "unit": row["unit"]}
        reason = "" if limits[0] == limits[0] else str(row["reason"])
        rows += [
            {"endpoint": name, "metric": metric, "confidence": c, "limit": limit, **known, "reason": reason}
            for c, limit in zip(wanted, limits, strict=True)
        ]
    return pd.DataFrame(rows)


def _goal(metric: Metric, endpoint: str) -> Objective:
    limit = 1.0 if metric.scale == RATIO else 0.01
    return Objective(metric.name, ">" if metric.better > 0 else "<", limit, endpoint=endpoint)


def _limits(held: Measurements, metric: Metric, endpoint: str, warmup: float, confidences: list[float]) -> list[float]:
    """The end of the one-sided interval for each confidence; NaN where one run does not suffice."""
    each = by_run(held, [metric.name], warmup=warmup)
    each = each[each["endpoint"] == endpoint]
    values = each[metric.name].to_numpy(dtype="float64")
    counts = each["count"].to_numpy(dtype="float64")
    if len(values) < 2 and not metric.is_latency:
        return [math.nan] * len(confidences)
    alone = _in_order(held, endpoint, warmup) if len(values) < 2 else np.zeros(0)

    def interval(two_sided: float) -> intervals.Interval:
        if metric.kind == SHARE:
            return intervals.share(values * counts, counts, confidence=two_sided)
        if len(values) > 1:
            return intervals.over_runs(values, confidence=two_sided)
        if metric.share is None:
            return intervals.mean_within(alone, confidence=two_sided)
        return intervals.quantile_within(alone, metric.share, confidence=two_sided)

    return [_end(interval(max(abs(2 * c - 1), 1e-9)), upper=(c >= 0.5) != (metric.better > 0)) for c in confidences]


def _end(found: intervals.Interval, *, upper: bool) -> float:
    """The end of a two-sided interval; a limit cannot be negative."""
    return max(0.0, found[2] if upper else found[1])


def _in_order(held: Measurements, endpoint: str, warmup: float) -> Floats:
    """The latencies of the only run after its warm-up, in order of start."""
    requests = without_warmup(held, warmup).sort_values("start", kind="stable")
    if endpoint != AGGREGATED:
        requests = requests[(requests["endpoint"] == endpoint).to_numpy()]
    values: Floats = requests["latency_ms"].to_numpy(dtype="float64")
    return values
