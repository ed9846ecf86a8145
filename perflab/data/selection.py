"""Parts of a run: a slice of its time, its slowest requests, its errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from perflab.data.run_blocks import since_start
from perflab.data.schemas import conform
from perflab.data.tables import AGGREGATED, Measurements
from perflab.units import parse_duration

RECORDED = "recorded_requests"
"""The key in a run's environment that says that the target recorded the components of its requests."""
_INSTANTS = dict.fromkeys(("requests", "queries", "checks", "exchanges"), "start") | dict.fromkeys(
    ("resources", "load", "metrics"), "time"
)


def without_recorded(measurements: Measurements) -> Measurements:
    """The runs to measure by: those whose target recorded its requests are left out, unless there are no others."""
    if "environment" not in measurements.runs.columns:
        return measurements
    recorded = [isinstance(e, dict) and bool(e.get(RECORDED)) for e in measurements.runs["environment"]]
    if not any(recorded) or all(recorded):
        return measurements
    return measurements.where(run=[r for r, own in zip(measurements.runs["run"], recorded, strict=True) if not own])


def time_window(measurements: Measurements, begin: str | float = 0, end: str | float | None = None) -> Measurements:
    """Select what started in the same slice of time of every run.

    Parameters
    ----------
    begin, end : since each run's start: "5s", "1m30s" or seconds; by default to the end of the run.

    Returns
    -------
    Measurements with the same runs; profiles, calls and summaries, which have no times, are unchanged. A run with an
    unknown start counts from its first row.

    Raises
    ------
    ValueError
        A duration is invalid, or ``begin`` is after ``end``.

    >>> import perflab as lab
    >>> after_ramp = lab.data.time_window(lab.load("datasets/shop_runs"), "5s")
    >>> float(after_ramp.requests.latency_ms.min()) > 0
    True
    """
    low = parse_duration(begin, parameter="begin")
    high = np.inf if end is None else parse_duration(end, parameter="end")
    if low > high:
        raise ValueError(f"begin must not be after end; got {begin!r} and {end!r}")
    return measurements.changed(partial(_window, low, high))


def _window(
    low: float, high: float, table: str, frame: pd.DataFrame, runs: pd.DataFrame, requests: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    instants = _INSTANTS.get(table)
    if instants is None or len(frame) == 0:
        return frame
    # Whole microseconds are compared, so that a bound is met exactly.
    ages = since_start(frame, instants, runs)
    kept = ages >= math.ceil(low * 1e3 * (1 - 1e-12))
    if math.isfinite(high):
        kept &= ages <= math.floor(high * 1e3 * (1 + 1e-12))
    return frame if kept.all() else frame[kept].reset_index(drop=True)


def latency_band(measurements: Measurements, low: str | float = 0, high: str | float | None = None) -> Measurements:
    """Select the requests with a latency in a band, and what was recorded of them.

    Parameters
    ----------
    low, high : "80ms", "1.5s" or milliseconds; by default without a limit.

    Returns
    -------
    Measurements with the same runs. Of the tables with request ids (statements, components, spans) the rows of these requests
    are kept, in runs whose requests have ids too; other tables are unchanged.

    Raises
    ------
    MissingTableError
        There are no requests.
    ValueError
        A duration is invalid, or ``low`` is above ``high``.

    >>> import perflab as lab
    >>> slow = lab.data.latency_band(lab.load("datasets/shop_runs"), "50ms")
    >>> bool((slow.requests.latency_ms >= 50).all())
    True
    """
    least = parse_duration(low, parameter="low", bare="ms")
    most = np.inf if high is None else parse_duration(high, parameter="high", bare="ms")
    if least > most:
        raise ValueError(f"low must not be above high; got {low!r} and {high!r}")
    if "requests" not in measurements.tables:
        _ = measurements.requests  # the error lists the tables that there are
    return measurements.changed(partial(_band, least, most))


def _band(
    low: float, high: float, table: str, frame: pd.DataFrame, runs: pd.DataFrame, requests: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    keys = ["run", "request"]
    if table == "requests":
        return frame[frame["latency_ms"].between(low, high)].reset_index(drop=True)
    if not set(keys) <= set(frame.columns) or "request" not in (made := requests()).columns:
        return frame
    made = made.dropna(subset="request")
    chosen = pd.MultiIndex.from_frame(made.loc[made["latency_ms"].between(low, high), keys].astype("str"))
    own = pd.MultiIndex.from_frame(frame[keys].astype("str"))
    # A run is left as it is where its requests, or its rows of this table, have no ids.
    joined = set(made["run"].unique()) & set(frame.loc[frame["request"].notna(), "run"].unique())
    return frame[own.isin(chosen) | ~frame["run"].isin(joined).to_numpy()].reset_index(drop=True)


def count_by_endpoint(measurements: Measurements) -> pd.Series[int]:
    """The number of requests to each endpoint, most frequent first."""
    found = [held.requests["endpoint"].astype("str").value_counts(sort=False) for held in measurements.pieces()]
    counts = (pd.concat(found) if found else pd.Series(dtype="int64")).groupby(level=0, sort=False).sum()
    return counts.sort_values(ascending=False, kind="stable")


def slowest_requests(
    measurements: Measurements, endpoint: str = AGGREGATED, *, count: int = 20, queries: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List the requests with the highest latency, slowest first, with the time since their run's start.

    Parameters
    ----------
    endpoint, count : which requests, and how many.
    queries : the statements of the same runs (``measurements.queries``), joined by request id.

    Returns
    -------
    run, arm, endpoint, at_s (seconds since the run's start), latency_ms, ok, and request, status, error, user, worker if
    recorded; with ``queries`` also statements, statements_ms, and slowest_statement, the text of the longest.

    Raises
    ------
    MissingTableError
        There are no requests.
    ValueError
        The requests or ``queries`` have no request ids.

    >>> import perflab as lab
    >>> lab.data.slowest_requests(lab.load("datasets/shop_runs"), count=3).latency_ms.is_monotonic_decreasing
    True
    """
    slowest = []
    for held in measurements.pieces():
        requests = held.requests
        if endpoint != AGGREGATED:
            requests = requests[requests["endpoint"] == endpoint]
        slowest.append(_at_least(requests, count).nlargest(count, "latency_ms"))
    top = _together(slowest).nlargest(count, "latency_ms")
    runs = measurements.runs.set_index("run")
    names = top["run"].astype("str")
    top = top.assign(arm=names.map(runs["arm"]), at_s=(top["start"] - names.map(runs["start"])).dt.total_seconds())
    shown = ["run", "arm", "endpoint", "at_s", "latency_ms", "ok", "request", "status", "error", "user", "worker"]
    if queries is not None:
        top, shown = _with_statements(top, queries), [*shown, "statements", "statements_ms", "slowest_statement"]
    return top[[c for c in shown if c in top.columns]].reset_index(drop=True)


def _at_least(requests: pd.DataFrame, count: int) -> pd.DataFrame:
    """The requests as slow as the ``count`` slowest, and ties: what is left to sort of a million rows."""
    latency = requests["latency_ms"].to_numpy(dtype="float64")
    if not 0 < count < len(latency):
        return requests
    limit = np.partition(latency, len(latency) - count)[len(latency) - count]
    return requests[latency >= limit] if limit == limit else requests  # a NaN is sorted last


def _with_statements(requests: pd.DataFrame, queries: pd.DataFrame) -> pd.DataFrame:
    """Each request with the number and total time of its statements, and the longest one."""
    if "request" not in requests.columns or "request" not in queries.columns:
        raise ValueError(
            "queries and requests are joined by the ids of requests (a column 'request'), which are not recorded"
        )
    keys = ["run", "request"]
    own = queries.dropna(subset="request").astype({"run": "str", "request": "str"}).sort_values("duration_ms")
    facts = own.groupby(keys)["duration_ms"].agg(["size", "sum"])
    longest = own.drop_duplicates(keys, keep="last").set_index(keys)["sql"]
    index = pd.MultiIndex.from_frame(requests[keys].astype("str"))
    return requests.assign(
        statements=facts["size"].reindex(index).fillna(0).astype("int64").to_numpy(),
        statements_ms=facts["sum"].reindex(index).fillna(0.0).to_numpy(),
        slowest_statement=longest.reindex(index).to_numpy(),
    )


def summarize_errors(measurements: Measurements, endpoint: str = AGGREGATED) -> pd.DataFrame:
    """Count failed requests by arm, endpoint and recorded cause, most frequent first.

    Returns
    -------
    arm, endpoint, status and error (if recorded), count, share_fraction (of that endpoint's requests in the arm),
    first_s (seconds from the run's start to the first one).

    Raises
    ------
    MissingTableError
        There are no requests.

    >>> import perflab as lab
    >>> len(lab.data.summarize_errors(lab.load("datasets/shop_runs")))
    0
    """
    failures, sums = [], []
    for held in measurements.pieces():
        requests = held.requests
        if endpoint != AGGREGATED:
            requests = requests[requests["endpoint"] == endpoint]
        failures.append(requests[~requests["ok"].to_numpy(dtype=bool)])
        sums.append(requests.groupby(["run", "endpoint"], observed=True).size().rename("total").reset_index())
    failed, totals = _together(failures), pd.concat(sums, ignore_index=True)
    runs = measurements.runs.set_index("run")
    names = failed["run"].astype("str")
    at = (failed["start"] - names.map(runs["start"])).dt.total_seconds()
    keys = ["arm", "endpoint", *(c for c in ("status", "error") if c in failed.columns)]
    grouped = failed.assign(arm=_arm_of(names, runs), at_s=at).groupby(keys, observed=True, dropna=False)["at_s"]
    table = grouped.agg(count="size", first_s="min").reset_index()
    totals["arm"] = _arm_of(totals["run"].astype("str"), runs)
    totals = totals.groupby(["arm", "endpoint"], observed=True)["total"].sum().reset_index()
    table = table.merge(totals, on=["arm", "endpoint"], how="left")
    table.insert(len(keys) + 1, "share_fraction", table["count"] / table["total"])
    return table.drop(columns="total").sort_values("count", ascending=False, kind="stable").reset_index(drop=True)


def _together(requests: list[pd.DataFrame]) -> pd.DataFrame:
    return requests[0] if len(requests) == 1 else conform("requests", pd.concat(requests, ignore_index=True))


def _arm_of(names: pd.Series, runs: pd.DataFrame) -> pd.Series:
    return names.map(runs["arm"]).fillna("all runs")
