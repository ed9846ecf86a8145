"""One number per run and endpoint: quantiles of type 8, means, rates, shares, resources; and `summarize`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from perflab.data.selection import without_recorded
from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError, one_of
from perflab.metrics import COUNT, MEAN, QUANTILE, RATE, RESOURCE, SHARE, Metric
from perflab.metrics import Floats as Floats
from perflab.metrics import quantile as quantile
from perflab.notes import Remedy
from perflab.stats import doubts, tails
from perflab.units import parse_fraction

Codes = npt.NDArray[np.intp]

DEFAULT_WARMUP = 0.10
_NO_WEIGHT = 1e-20
_SIZE = "size_bytes"
_SUMMARIZED = ("error_fraction", "throughput_per_s", "mean", "p50", "p95", "p99", "max")


def whose(endpoint: str) -> str:
    """The endpoint as a sentence names it."""
    return "all requests" if endpoint == AGGREGATED else endpoint


def warmup_of(runs: pd.DataFrame, given: float | str | None) -> float:
    """The share of each run to leave out: as given, else the largest of the plans', else 10 %."""
    if given is None:
        plans = mappings(runs, "plan")
        return max((float(p["warmup"]) for p in plans if p.get("warmup") is not None), default=DEFAULT_WARMUP)
    share = parse_fraction(given, parameter="warmup")
    if not 0 <= share <= 0.9:
        raise ValueError(f"warmup must be between 0 and 90%; got {given!r}")
    return share


def mappings(runs: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    """The plan or environment of each run, {} where it has none."""
    return [dict(v) if isinstance(v, Mapping) else {} for v in runs[column]] if column in runs.columns else []


def harrell_davis(values: npt.ArrayLike, q: float = 0.95) -> float:
    """The Harrell-Davis quantile: a mean of all order statistics, weighted by a Beta distribution.

    Parameters
    ----------
    values : numbers in any unit, in any order.
    q : the quantile, between 0 and 1.

    Returns
    -------
    float, in the unit of the values. Smoother than any single order statistic, which pays off for few values, most of all
    where they are sparse around the quantile. At p95 of a run it adds little: by datasets/calibration/estimators.csv the
    run-to-run sd is 1 % lower than with type 8 at 200 requests, and the same from 2,000 on. Only where few latencies are
    near the quantile (cache misses start there) is it a third lower at 200 requests, 14 % at 2,000, the same at 10,000.
    So `compare` and `summarize` use type 8, which no outlier can move.

    Harrell and Davis (1982), A new distribution-free quantile estimator, Biometrika 69.

    Raises
    ------
    ValueError : no values, not finite, q not between 0 and 1.

    >>> round(harrell_davis(np.arange(1.0, 101.0), 0.95), 3)
    95.5
    """
    numbers = np.asarray(values, dtype="float64").ravel()
    if not 0 < q < 1:
        raise ValueError(f"q must be between 0 and 1; got {q!r}")
    if not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError("harrell_davis: values must be finite numbers, at least one")
    low, weights = harrell_davis_weights(len(numbers), q)
    high = low + len(weights)
    inside = np.sort(np.partition(numbers, [low, high - 1])[low:high])
    return float(inside @ weights)


@lru_cache(maxsize=64)
def harrell_davis_weights(count: int, q: float) -> tuple[int, Floats]:
    """The weights of the sorted values, which add up to 1: the index of the first, and the weights.

    The weights left out add up to less than 1e-20, so only the values inside need sorting.
    """
    a, b = (count + 1) * q, (count + 1) * (1 - q)
    ends = special.betaincinv(a, b, _NO_WEIGHT), special.betainccinv(a, b, _NO_WEIGHT)
    low, high = max(0, math.floor(count * ends[0]) - 1), min(count, math.ceil(count * ends[1]) + 1)
    weights = np.diff(special.betainc(a, b, np.arange(low, high + 1) / count))
    weights /= weights.sum()
    weights.flags.writeable = False
    return low, weights


def requests_of(measured: Measurements | pd.DataFrame) -> Measurements:
    """Measurements of a requests table, or the given ones; ComparisonError if they hold no requests.

    Recording breakdowns costs time: runs that did are left out where there are others.
    """
    if not isinstance(measured, (Measurements, pd.DataFrame)):
        raise ValueError(f"expected Measurements or a requests table; got {type(measured).__name__}")
    held = without_recorded(measured) if isinstance(measured, Measurements) else Measurements.of(requests=measured)
    if (held.requests["endpoint"] == AGGREGATED).any():
        raise ComparisonError(f"{AGGREGATED!r} means all requests of a run together: rename the endpoint of that name")
    if not len(held.requests):
        raise ComparisonError("there are no requests in these measurements")
    return held


@dataclass(frozen=True)
class Requests:
    """The requests of several runs as arrays: codes of run and endpoint, latency (ms), failure, and age.

    ``age`` is the share of the run (until its last request started) that had passed when a request started, so it does
    not depend on latencies; ``seconds`` the length of each run; ``knows_failures`` whether it records which requests
    failed; ``size`` the bytes of each response; ``resources`` the samples of the target (run, age, ...); ``sending`` the
    seconds of each run until its last request started.
    """

    runs: tuple[str, ...]
    endpoints: tuple[str, ...]
    run: Codes
    endpoint: Codes
    latency: Floats
    failed: npt.NDArray[np.bool_]
    age: Floats
    seconds: Floats
    knows_failures: npt.NDArray[np.bool_]
    size: Floats | None = None
    resources: pd.DataFrame | None = None
    sending: Floats | None = None

    def take(self, rows: npt.NDArray[Any]) -> Requests:
        """The chosen rows (a mask, or positions)."""
        columns = {c: getattr(self, c)[rows] for c in ("run", "endpoint", "latency", "failed", "age")}
        return replace(self, **columns, size=None if self.size is None else self.size[rows])


def coded(measured: Measurements) -> Requests:
    """The requests as arrays, with runs in start order."""
    requests = measured.requests
    run, runs = pd.factorize(requests["run"])
    endpoint, endpoints = pd.factorize(requests["endpoint"])
    start = pd.DatetimeIndex(requests["start"]).as_unit("us").asi8
    first = np.full(len(runs), np.iinfo("int64").max)
    np.minimum.at(first, run, start)
    # Runs in start order, whatever the order of the rows.
    order = np.lexsort([np.asarray(runs, dtype=str), first])
    run, runs, first = np.argsort(order)[run], runs[order], first[order]
    known = measured.runs.set_index("run").reindex(runs)
    begun = pd.DatetimeIndex(known["start"]).as_unit("us").asi8
    # A run with an unknown start, or one later than its first request, starts with that request.
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
        knows_failures=knows_failures(known),
        size=requests["size_bytes"].to_numpy(dtype="float64") if "size_bytes" in requests.columns else None,
        sending=(last - begun) / 1e6,
        resources=_of_target(measured, list(runs), begun, last) if "resources" in measured.tables else None,
    )


def _of_target(measured: Measurements, runs: list[Any], begun: Codes, last: Codes) -> pd.DataFrame:
    """The samples of the target's process, with their age (share of the run)."""
    samples = measured.resources
    samples = samples[(samples["process"] == "target") & samples["run"].isin(runs)].sort_values("time", kind="stable")
    code = pd.Index(runs).get_indexer(samples["run"])
    time = pd.DatetimeIndex(samples["time"]).as_unit("us").asi8
    with np.errstate(divide="ignore", invalid="ignore"):
        age = (time - begun[code]) / (last - begun)[code]
    return samples.assign(code=code, age=np.nan_to_num(age, nan=1.0, posinf=1.0))


def knows_failures(runs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether the tool of each run records which requests failed: ab -g does not, so its error rate is unknown."""
    known = mappings(runs, "environment") or [{}] * len(runs)
    return np.array([e.get("failures") not in ("not told", "unknown") for e in known], dtype=bool)


def without_warmup(measured: Measurements, warmup: float) -> pd.DataFrame:
    """The requests that started after the first ``warmup`` share of their run."""
    return measured.requests[coded(measured).age >= warmup] if warmup else measured.requests


def by_run(
    measured: Measurements | Requests,
    metrics: Sequence[str | Metric],
    *,
    warmup: float = 0.0,
    longer: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """One row per run and endpoint, including "Aggregated": run, endpoint, count, then a column for each metric.

    ``longer`` maps endpoints to a warm-up longer than ``warmup``.
    """
    requests = measured if isinstance(measured, Requests) else coded(measured)
    wanted = [Metric.of(metric) for metric in metrics]
    cuts = {AGGREGATED: warmup, **dict.fromkeys(requests.endpoints, warmup), **(longer or {})}
    per_endpoint = np.array([cuts[e] for e in requests.endpoints])
    parts = []
    for together in (True, False):
        least = cuts[AGGREGATED] if together else per_endpoint[requests.endpoint]
        kept = requests.take(requests.age >= least) if np.max(least, initial=0.0) > 0 else requests
        names = (AGGREGATED,) if together else requests.endpoints
        key = kept.run if together else kept.run * len(names) + kept.endpoint
        shares = np.array([cuts[AGGREGATED]]) if together else per_endpoint
        parts.append(_grouped(kept, key, names, shares, wanted))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort([joined["endpoint"], joined["run"]])
    run, endpoint, counts = (joined.pop(name)[order] for name in ("run", "endpoint", "count"))
    # -1 is the last of the names: all requests together.
    names = pd.array([*requests.endpoints, AGGREGATED], dtype="str")
    return pd.DataFrame(
        {
            "run": pd.array(requests.runs, dtype="str").take(run),
            "endpoint": names.take(endpoint % len(names)),
            "count": counts.astype("int64"),
            **{name: values[order] for name, values in joined.items()},
        }
    )


def of_endpoint(table: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """The rows of one endpoint; ValueError lists the known ones."""
    chosen = table[table["endpoint"] == endpoint]
    if chosen.empty:
        raise one_of("endpoint", endpoint, pd.unique(table["endpoint"])[:12])
    return chosen


def _grouped(
    kept: Requests, key: Codes, names: Sequence[str], shares: Floats, metrics: Sequence[Metric]
) -> dict[str, npt.NDArray[Any]]:
    """The metrics of every group of requests; the key is the run's code times the number of endpoints, plus the endpoint's.

    The result holds codes of run and endpoint, -1 for all endpoints together.
    """
    size = len(kept.runs) * len(names)
    # Sorting small integers is a radix sort, many times faster.
    order = np.argsort(key.astype("uint16") if size < 65_536 else key, kind="stable")
    counts = np.bincount(key, minlength=size)
    present = np.flatnonzero(counts)
    edges = np.concatenate([[0], np.cumsum(counts[present])])
    found = counts[present]
    run, endpoint = present // len(names), present % len(names)
    seconds = kept.seconds[run] * (1 - shares[endpoint])
    columns: dict[str, Any] = dict(_quantiles(kept.latency[order], edges, metrics))
    for metric in metrics:
        if metric.kind == MEAN:
            values = kept.latency if metric.is_latency else kept.size
            columns[metric.name] = math.nan if values is None else _means(values[order], edges)
        elif metric.kind == SHARE:
            failed = np.bincount(key, weights=kept.failed, minlength=size)[present] / found
            columns[metric.name] = np.where(kept.knows_failures[run], failed, np.nan)
        elif metric.slower_ms is not None:
            slow = np.bincount(key, weights=kept.latency > metric.slower_ms, minlength=size)[present]
            columns[metric.name] = slow / found
        elif metric.kind == RATE:
            columns[metric.name] = np.divide(found, seconds, out=np.full(len(found), np.nan), where=seconds > 0)
        elif metric.kind == COUNT:
            columns[metric.name] = found
        elif metric.kind == RESOURCE:
            together = names == (AGGREGATED,) and kept.resources is not None
            columns[metric.name] = _used(metric, kept, run, found, seconds, float(shares[0])) if together else math.nan
    return {
        "run": run,
        "endpoint": np.full(len(run), -1) if names == (AGGREGATED,) else endpoint,
        "count": found,
        **{metric.name: np.broadcast_to(columns[metric.name], len(run)) for metric in metrics},
    }


def _means(values: Floats, edges: npt.NDArray[np.int64]) -> list[float]:
    # Floating-point sums depend on the order of the terms: sorting makes them independent of row order.
    return [float(np.sort(values[low:high]).mean()) for low, high in pairwise(edges)]


def _quantiles(latency: Floats, edges: npt.NDArray[np.int64], metrics: Sequence[Metric]) -> dict[str, Floats]:
    shares = {metric.name: metric.share for metric in metrics if metric.kind == QUANTILE and metric.share is not None}
    if not shares:
        return {}
    wanted = list(shares.values())
    rows = [quantile(latency[low:high], wanted) for low, high in pairwise(edges)]
    return dict(zip(shares, np.array(rows).reshape(-1, len(wanted)).T, strict=True))


def _used(metric: Metric, kept: Requests, run: Codes, counts: Codes, seconds: Floats, share: float) -> list[float]:
    """The metric of the target's resources in each run, after the warm-up."""
    samples = kept.resources
    assert samples is not None
    own = samples[samples["age"] >= share] if share else samples
    parts = {int(code): part for code, part in own.groupby("code")}
    facts = zip(run.tolist(), counts.tolist(), seconds.tolist(), strict=True)
    return [metric.of_resources(parts.get(r, own.iloc[:0]), requests=n, seconds=s) for r, n, s in facts]


def summarize(measured: Measurements | pd.DataFrame, *, warmup: str | float | None = None) -> pd.DataFrame:
    """Summarize each run by endpoint.

    Parameters
    ----------
    measured : Measurements or DataFrame
        Measurements with requests, or a requests table.
    warmup : str or float, optional
        The share of each run to leave out; by default the plan's, or 10 %, as in `compare`. 0 keeps everything.

    Returns
    -------
    DataFrame
        run, endpoint, count, errors, error_fraction, throughput_per_s, mean_ms, p50_ms, p95_ms, p99_ms, max_ms, and size_bytes
        (the mean of a response) where sizes are known. Quantiles are of type 8; "Aggregated" is all requests of a run. A p95 of
        fewer than 20 requests and a p99 of fewer than 100 would be the maximum, and are missing; those of fewer than 200 and
        1,000 rest on a handful of requests and are shown with ~ (``attrs["warnings"]`` has a note on it).

    Raises
    ------
    ComparisonError
        The requests table is empty.
    MissingTableError
        There are no requests.
    ValueError
        ``warmup`` is not between 0 and 90 %.

    >>> import pandas as pd
    >>> at = pd.date_range("2026-01-01", periods=4, freq="s", tz="UTC")
    >>> requests = pd.DataFrame({"run": "a", "endpoint": "GET /", "start": at, "latency_ms": [1., 2., 3., 9.], "ok": True})
    >>> summarize(requests, warmup=0).p50_ms.to_list()
    [2.5, 2.5]
    """
    held = requests_of(measured)
    share = warmup_of(held.runs, warmup)
    sized = "size_bytes" in held.requests.columns and bool((held.requests["size_bytes"] > 0).any())
    summarized = (*_SUMMARIZED, _SIZE) if sized else _SUMMARIZED
    table = by_run(held, summarized, warmup=share)
    errors = (table["error_fraction"] * table["count"]).round()
    table["errors"] = errors.astype("Int64" if errors.isna().any() else "int64")
    table = table.rename(columns={name: Metric.of(name).column for name in summarized})
    columns = [Metric.of(name).column for name in summarized]
    table = table[["run", "endpoint", "count", "errors", *columns]]
    return tails.marked(
        table, doubts.AFTER_WARMUP(Remedy("summarize", {"warmup": 0}), share_fraction=share) if share else ""
    )


def summarize_checks(measured: Measurements) -> pd.DataFrame:
    """How many of the named checks passed, by run, endpoint and name.

    Parameters
    ----------
    measured : Measurements
        With a ``checks`` table; MissingTableError otherwise.

    Returns
    -------
    DataFrame
        run, endpoint, name, count, passed, passed_fraction. The endpoint is missing where none was recorded.

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
