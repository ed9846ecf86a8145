"""One number for each run and endpoint: quantiles of type 8, means, throughput, error share; and `summarize`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError, one_of
from perflab.stats import tails
from perflab.units import parse_fraction

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

DEFAULT_WARMUP = 0.10
_QUANTILE = re.compile(r"p([1-9]\d?(?:\.\d+)?|100)")
_NO_WEIGHT = 1e-20
UNTOLD = "the tool does not say which requests failed"
OTHER_METRICS = ("mean", "throughput_per_s", "error_fraction")


def quantile_of(metric: str) -> float | None:
    """The share that a quantile metric names, None for another metric; ValueError for none at all.

    >>> quantile_of("p99.9"), quantile_of("mean")
    (0.9990000000000001, None)
    """
    if metric in OTHER_METRICS:
        return None
    found = _QUANTILE.fullmatch(metric) if isinstance(metric, str) else None
    if not found:  # p0.95 too, which is hardly ever meant
        raise ValueError(
            f'metric must be "p95" or any "p<q>" from p1 to p100, {", ".join(OTHER_METRICS)}; got {metric!r}'
        )
    return float(found[1]) / 100


def unit_of(metric: str) -> str:
    """The unit of a metric's values."""
    return {"throughput_per_s": "1/s", "error_fraction": "fraction"}.get(metric, "ms")


def quantile(values: Floats, shares: Sequence[float]) -> Floats:
    """Quantiles of type 8 (median-unbiased), by selection instead of a full sort.

    Hyndman and Fan (1996), Sample quantiles in statistical packages, The American Statistician 50.
    """
    count = len(values)
    ranks = np.clip((count + 1 / 3) * np.asarray(shares, dtype="float64") + 1 / 3, 1, count) - 1
    below = np.floor(ranks).astype("int64")
    above = np.minimum(below + 1, count - 1)
    picked = np.partition(values, np.unique(np.concatenate([below, above])))
    result: Floats = picked[below] + (ranks - below) * (picked[above] - picked[below])
    return result


def harrell_davis(values: npt.ArrayLike, q: float = 0.95) -> float:
    """The quantile of Harrell and Davis: a mean of all order statistics, weighted by a Beta law around the quantile's rank.

    Parameters
    ----------
    values : numbers in any unit, in any order.
    q : the quantile, between 0 and 1.

    Returns
    -------
    float, in the unit of the values. Smoother than any single order statistic, which pays off for few values, most of all
    where they lie thin around the quantile. At p95 of a run it adds little: by datasets/calibration/estimators.csv the sd
    from run to run is 1 % less than with type 8 at 200 requests, and the same from 2,000 on. Only where few latencies lie at
    the quantile (a cache whose misses begin there) it is a third less, 14 % less and the same at 200, 2,000 and 10,000
    requests. So `compare` and `summarize` stay with type 8, which no far outlier can move.

    Harrell and Davis (1982), A new distribution-free quantile estimator, Biometrika 69.

    Raises
    ------
    ValueError : no values, not finite, q not between 0 and 1.

    >>> round(harrell_davis(np.arange(1.0, 101.0), 0.95), 3)
    95.5
    """
    numbers = np.asarray(values, dtype="float64").ravel()
    if not 0 < q < 1:
        raise ValueError(f"q must lie between 0 and 1; got {q!r}")
    if not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError("harrell_davis: values must be finite numbers, at least one")
    count = len(numbers)
    a, b = (count + 1) * q, (count + 1) * (1 - q)
    # The weights outside are below 1e-20 together: only what lies inside needs an order.
    ends = special.betaincinv(a, b, _NO_WEIGHT), special.betainccinv(a, b, _NO_WEIGHT)
    low, high = max(0, math.floor(count * ends[0]) - 1), min(count, math.ceil(count * ends[1]) + 1)
    inside = np.sort(np.partition(numbers, [low, high - 1])[low:high])
    weights = np.diff(special.betainc(a, b, np.arange(low, high + 1) / count))
    return float(inside @ weights / weights.sum())


def requests_of(measured: Measurements | pd.DataFrame) -> Measurements:
    """Measurements of a requests table, or what was given; ComparisonError when there is no request in it."""
    if not isinstance(measured, (Measurements, pd.DataFrame)):
        raise ValueError(f"expected Measurements or a requests table; got {type(measured).__name__}")
    held = measured if isinstance(measured, Measurements) else Measurements.of(requests=measured)
    if (held.requests["endpoint"] == AGGREGATED).any():
        raise ComparisonError(
            f"{AGGREGATED!r} stands for all requests of a run together: rename the endpoint of that name"
        )
    if not len(held.requests):
        raise ComparisonError("there are no requests in these measurements")
    return held


@dataclass(frozen=True)
class Requests:
    """The requests of several runs as plain arrays: codes of run and endpoint, latency, failure, and age.

    ``age`` is the share of the run's time (until its last request started) that had passed when a request started, which
    does not depend on the latencies; ``seconds`` the length of each run, ``told`` whether it says which requests failed.
    """

    runs: tuple[str, ...]
    endpoints: tuple[str, ...]
    run: Codes
    endpoint: Codes
    latency: Floats
    failed: npt.NDArray[np.bool_]
    age: Floats
    seconds: Floats
    told: npt.NDArray[np.bool_]

    def take(self, rows: npt.NDArray[Any]) -> Requests:
        """The chosen rows (a mask, or positions)."""
        columns = {c: getattr(self, c)[rows] for c in ("run", "endpoint", "latency", "failed", "age")}
        return replace(self, **columns)


def coded(measured: Measurements) -> Requests:
    """The requests as arrays, coded once."""
    requests = measured.requests
    run, runs = pd.factorize(requests["run"])
    endpoint, endpoints = pd.factorize(requests["endpoint"])
    start = pd.DatetimeIndex(requests["start"]).as_unit("us").asi8
    first = np.full(len(runs), np.iinfo("int64").max)
    np.minimum.at(first, run, start)
    # Runs in the order they began, whatever the order of the rows.
    order = np.lexsort([np.asarray(runs, dtype=str), first])
    run, runs, first = np.argsort(order)[run], runs[order], first[order]
    known = measured.runs.set_index("run").reindex(runs)
    begun = pd.DatetimeIndex(known["start"]).as_unit("us").asi8
    # A run whose start is unknown, or later than its first request, began with that request.
    begun = np.where(known["start"].isna().to_numpy() | (begun > first), first, begun)
    last = np.full(len(runs), np.iinfo("int64").min)
    np.maximum.at(last, run, start)
    with np.errstate(divide="ignore", invalid="ignore"):
        age = (start - begun[run]) / (last - begun)[run]
    return Requests(
        runs=tuple(map(str, runs)),
        endpoints=tuple(map(str, endpoints)),
        run=run,
        endpoint=endpoint,
        latency=requests["latency_ms"].to_numpy(dtype="float64"),
        failed=~requests["ok"].to_numpy(dtype=bool),
        age=np.nan_to_num(age, nan=1.0, posinf=1.0),
        seconds=known["duration_ms"].to_numpy(dtype="float64") / 1e3,
        told=failures_told(known),
    )


def failures_told(runs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether the tool of each run says which requests failed: ab -g does not, and no share of them can be judged."""
    if "environment" not in runs.columns:
        return np.ones(len(runs), dtype=bool)
    return np.array(
        [not (isinstance(e, dict) and e.get("failures") == "not told") for e in runs["environment"]], dtype=bool
    )


def without_warmup(measured: Measurements, warmup: float) -> pd.DataFrame:
    """The requests that started after the first ``warmup`` share of their run."""
    return measured.requests[coded(measured).age >= warmup] if warmup else measured.requests


def by_run(
    measured: Measurements | Requests,
    metrics: Sequence[str],
    *,
    warmup: float = 0.0,
    longer: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """One row for each run and endpoint, "Aggregated" among them: run, endpoint, count, then a column a metric.

    ``longer`` holds the endpoints whose warm-up is longer than ``warmup``.
    """
    requests = measured if isinstance(measured, Requests) else coded(measured)
    cuts = {AGGREGATED: warmup, **dict.fromkeys(requests.endpoints, warmup), **(longer or {})}
    per_endpoint = np.array([cuts[e] for e in requests.endpoints])
    parts = []
    for together in (True, False):
        least = cuts[AGGREGATED] if together else per_endpoint[requests.endpoint]
        kept = requests.take(requests.age >= least) if np.max(least, initial=0.0) > 0 else requests
        names = (AGGREGATED,) if together else requests.endpoints
        key = kept.run if together else kept.run * len(names) + kept.endpoint
        shares = np.array([cuts[AGGREGATED]]) if together else per_endpoint
        parts.append(_grouped(kept, key, names, shares, metrics))
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.iloc[np.lexsort([frame["place"], frame["run_place"]])].drop(columns=["place", "run_place"])
    return frame.reset_index(drop=True).astype({"run": "str", "endpoint": "str", "count": "int64"})


def of_endpoint(table: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """The rows of one endpoint; ValueError with what there is."""
    chosen = table[table["endpoint"] == endpoint]
    if chosen.empty:
        raise one_of("endpoint", endpoint, pd.unique(table["endpoint"])[:12])
    return chosen


def _grouped(kept: Requests, key: Codes, names: Sequence[str], shares: Floats, metrics: Sequence[str]) -> pd.DataFrame:
    """The metrics of every group of requests: the key is the run's code times the endpoints, plus the endpoint's."""
    size = len(kept.runs) * len(names)
    # Sorting small integers is a radix sort, many times faster.
    order = np.argsort(key.astype("uint16") if size < 65_536 else key, kind="stable")
    counts = np.bincount(key, minlength=size)
    present = np.flatnonzero(counts)
    edges = np.concatenate([[0], np.cumsum(counts[present])])
    found = counts[present]
    run, endpoint = present // len(names), present % len(names)
    columns: dict[str, Any] = dict(_quantiles(kept.latency[order], edges, metrics))
    if "mean" in metrics:
        # Sums depend on the order of what is added, in the last digits: sorted, the order of rows does not matter.
        latency = kept.latency[order]
        columns["mean"] = [np.sort(latency[low:high]).mean() for low, high in pairwise(edges)]
    if "error_fraction" in metrics:
        failed = np.bincount(key, weights=kept.failed, minlength=size)[present] / found
        columns["error_fraction"] = np.where(kept.told[run], failed, np.nan)
    if "throughput_per_s" in metrics:
        seconds = kept.seconds[run] * (1 - shares[endpoint])
        columns["throughput_per_s"] = np.divide(found, seconds, out=np.full(len(found), np.nan), where=seconds > 0)
    frame = {
        "run": np.array(kept.runs, dtype=object)[run],
        "endpoint": np.array(names, dtype=object)[endpoint],
        "count": found,
        **{metric: columns[metric] for metric in metrics},
        "run_place": run,
        "place": np.full(len(run), -1) if names == (AGGREGATED,) else endpoint,
    }
    return pd.DataFrame(frame)


def _quantiles(latency: Floats, edges: npt.NDArray[np.int64], metrics: Sequence[str]) -> dict[str, Floats]:
    shares = {metric: share for metric in metrics if (share := quantile_of(metric)) is not None}
    if not shares:
        return {}
    wanted = list(shares.values())
    rows = [quantile(latency[low:high], wanted) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return dict(zip(shares, np.array(rows).reshape(-1, len(wanted)).T, strict=True))


def summarize(measured: Measurements | pd.DataFrame, *, warmup: str | float = 0.0) -> pd.DataFrame:
    """What happened in each run, by endpoint.

    Parameters
    ----------
    measured : Measurements with requests, or a requests table.
    warmup : share of each run to leave out ("10%"); nothing by default.

    Returns
    -------
    DataFrame: run, endpoint, count, errors, error_fraction, throughput_per_s, mean_ms, p50_ms, p95_ms, p99_ms, max_ms.
    Quantiles are of type 8; "Aggregated" is all of a run together. A p95 of fewer than 20 requests and a p99 of fewer than
    100 would be the maximum, and are missing; shown, those of fewer than 200 and 1,000 are marked ~, since they hang on the
    slowest few (``attrs["warnings"]`` says so too).

    >>> import pandas as pd
    >>> at = pd.date_range("2026-01-01", periods=4, freq="s", tz="UTC")
    >>> requests = pd.DataFrame({"run": "a", "endpoint": "GET /", "start": at, "latency_ms": [1., 2., 3., 9.], "ok": True})
    >>> summarize(requests).p50_ms.to_list()
    [2.5, 2.5]
    """
    share = parse_fraction(warmup, parameter="warmup")
    held = requests_of(measured)
    table = by_run(held, ["error_fraction", "throughput_per_s", "mean", "p50", "p95", "p99", "p100"], warmup=share)
    errors = (table["error_fraction"] * table["count"]).round()
    table["errors"] = errors.astype("Int64" if errors.isna().any() else "int64")
    named = table.rename(
        columns={"mean": "mean_ms", "p50": "p50_ms", "p95": "p95_ms", "p99": "p99_ms", "p100": "max_ms"}
    )
    columns = ["run", "endpoint", "count", "errors", "error_fraction", "throughput_per_s"]
    table = named[[*columns, "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"]]
    return tails.marked(table)


def summarize_checks(measured: Measurements) -> pd.DataFrame:
    """How many of the named checks held, by run, endpoint and name.

    Parameters
    ----------
    measured : Measurements with a ``checks`` table; MissingTableError without.

    Returns
    -------
    DataFrame: run, endpoint, name, count, passed, passed_fraction. The endpoint is missing where none was given.

    >>> import pandas as pd
    >>> at = pd.date_range("2026-01-01", periods=4, freq="s", tz="UTC")
    >>> checks = pd.DataFrame({"run": "a", "start": at, "name": "status is 200", "ok": [True, True, True, False]})
    >>> summarize_checks(Measurements.of(checks=checks)).passed_fraction.item()
    0.75
    """
    checks = measured.checks
    if "endpoint" not in checks.columns:
        checks = checks.assign(endpoint=pd.Series(None, index=checks.index, dtype="str"))
    grouped = checks.groupby(["run", "endpoint", "name"], sort=False, dropna=False)["ok"]
    table = grouped.agg(["size", "sum"]).reset_index().rename(columns={"size": "count", "sum": "passed"})
    table = table.astype({"count": "int64", "passed": "int64"})
    return table.assign(passed_fraction=table["passed"] / table["count"]).sort_values(
        ["run", "endpoint", "name"], ignore_index=True
    )
