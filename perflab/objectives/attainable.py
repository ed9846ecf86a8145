"""`attainable`: which limit an objective could have had and hold, with which confidence."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Metric
from perflab.objectives.checking import check
from perflab.objectives.objective import Objective
from perflab.stats import intervals
from perflab.stats.estimates import Floats, by_run, requests_of, without_warmup

CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.975, 0.99)
FLOORS = ("throughput_per_s",)
"""Metrics that must be above their limit."""


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
    measured : the runs of one arm (or a requests table); several runs say more than one.
    metric : "p95" or any "p<q>", "mean", "throughput_per_s" (a floor) or "error_fraction".
    endpoint : one endpoint, all requests together ("Aggregated"), or None for each of them in turn.
    confidences : shares between 0 and 1, for one side: `check` says "holds" at 0.975, the end of its 95 % interval.
    warmup, allow : as for `check`.

    Returns
    -------
    DataFrame: endpoint, metric, confidence, limit (in the metric's unit), measured, runs, unit, reason. Latency and errors
    would stay below the limit, throughput above it. Where the runs can't tell, the limit is missing and reason says why.

    The limit is the end of the interval that `check` uses: Student's over the runs' logarithms, an exact binomial one for
    errors, batch means within a single run.

    Raises
    ------
    ComparisonError, MissingTableError : as `check`. ValueError : bad arguments.

    >>> eager = lab.load("datasets/shop_runs", arm="eager")
    >>> table = lab.attainable(eager, "p95", "GET /orders", confidences=[0.9, 0.975])
    >>> bool(table.limit[0] < table.limit[1]), lab.check(eager, [f"p95 of GET /orders < {table.limit[1] + 0.1} ms"]).verdict
    (True, 'holds')
    """
    wanted = [float(c) for c in confidences]
    if not wanted or not all(0 < c < 1 for c in wanted):
        raise ValueError(f"confidences must lie between 0 and 1; got {confidences!r}")
    share = Metric.of(metric).share
    held = requests_of(measured)
    endpoints = [endpoint] if endpoint else [AGGREGATED, *sorted(map(str, held.requests["endpoint"].unique()))]
    checked = check(held, [_goal(metric, e) for e in endpoints], warmup=warmup, allow=allow)
    rows = []
    for name, (_, row) in zip(endpoints, checked.table.iterrows(), strict=True):
        limits = [math.nan] * len(wanted)
        if row["low"] == row["low"]:
            limits = _limits(held, metric, share, str(row["endpoint"]), checked.warmup, wanted)
        known = {"measured": row["measured"], "runs": row["runs"], "unit": row["unit"]}
        reason = "" if limits[0] == limits[0] else str(row["reason"])
        rows += [
            {"endpoint": name, "metric": metric, "confidence": c, "limit": limit, **known, "reason": reason}
            for c, limit in zip(wanted, limits, strict=True)
        ]
    return pd.DataFrame(rows)


def _goal(metric: str, endpoint: str) -> Objective:
    limits = {"throughput_per_s": "1/s", "error_fraction": "1%"}
    return Objective(metric, ">" if metric in FLOORS else "<", limits.get(metric, "1ms"), endpoint=endpoint)


def _limits(
    held: Measurements, metric: str, share: float | None, endpoint: str, warmup: float, confidences: list[float]
) -> list[float]:
    """The end of the one-sided interval for each confidence; NaN where one run can't say."""
    each = by_run(held, [metric], warmup=warmup)
    each = each[each["endpoint"] == endpoint]
    values = each[metric].to_numpy(dtype="float64")
    counts = each["count"].to_numpy(dtype="float64")
    if len(values) < 2 and metric in ("throughput_per_s", "error_fraction"):
        return [math.nan] * len(confidences)
    alone = _in_order(held, endpoint, warmup) if len(values) < 2 else np.zeros(0)

    def interval(two_sided: float) -> intervals.Interval:
        if metric == "error_fraction":
            return intervals.share(values * counts, counts, confidence=two_sided)
        if len(values) > 1:
            return intervals.over_runs(values, confidence=two_sided)
        if share is None:
            return intervals.mean_within(alone, confidence=two_sided)
        return intervals.quantile_within(alone, share, confidence=two_sided)

    return [_end(interval(max(abs(2 * c - 1), 1e-9)), upper=(c >= 0.5) != (metric in FLOORS)) for c in confidences]


def _end(found: intervals.Interval, *, upper: bool) -> float:
    """The end of a two-sided interval; a limit can't lie below zero."""
    return max(0.0, found[2] if upper else found[1])


def _in_order(held: Measurements, endpoint: str, warmup: float) -> Floats:
    """The latencies of the only run after its warm-up, in order of start."""
    requests = without_warmup(held, warmup).sort_values("start", kind="stable")
    if endpoint != AGGREGATED:
        requests = requests[(requests["endpoint"] == endpoint).to_numpy()]
    values: Floats = requests["latency_ms"].to_numpy(dtype="float64")
    return values
