"""One number per run and endpoint: quantiles of type 8, means, rates, shares, resources; and `summarize`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from perflab.data.selection import without_recorded
from perflab.data.stored_runs import StoredTables
from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError, one_of
from perflab.metrics import COUNT, MEAN, QUANTILE, RATE, RESOURCE, SHARE, VITAL, VITAL_NAMES, VITALS, Metric
from perflab.metrics import Floats as Floats
from perflab.metrics import quantile as quantile
from perflab.notes import Remedy
from perflab.stats import doubts, tails, visits
from perflab.stats.coded_requests import Codes as Codes
from perflab.stats.coded_requests import Requests as Requests
from perflab.stats.coded_requests import Streamed as Streamed
from perflab.stats.coded_requests import Usual as Usual
from perflab.stats.coded_requests import coded as coded
from perflab.stats.coded_requests import knows_failures as knows_failures
from perflab.stats.coded_requests import mappings as mappings
from perflab.stats.coded_requests import streamed as streamed
from perflab.units import parse_fraction

DEFAULT_WARMUP = 0.10
_NO_WEIGHT = 1e-20
_SIZE = "size_bytes"
_SUMMARIZED = ("error_fraction", "throughput_per_s", "mean", "p50", "p95", "p99", "max")


def whose(endpoint: str, metric: Metric | None = None) -> str:
    """The endpoint as a sentence names it."""
    return (metric.everything if metric else "all requests") if endpoint == AGGREGATED else endpoint


def warmup_of(runs: pd.DataFrame, given: float | str | None) -> float:
    """The share of each run to leave out: as given, else the largest of the plans', else 10 %."""
    if given is None:
        plans = mappings(runs, "plan")
        return max((float(p["warmup"]) for p in plans if p.get("warmup") is not None), default=DEFAULT_WARMUP)
    share = parse_fraction(given, parameter="warmup")
    if not 0 <= share <= 0.9:
        raise ValueError(f"warmup must be between 0 and 90%; got {given!r}")
    return share


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


def requests_of(
    measured: Measurements | pd.DataFrame, executor: Executor | None = None, usual: Usual = ()
) -> Measurements:
    """Measurements of a requests table, or the given ones; ComparisonError if they hold no requests.

    Recording breakdowns costs time: runs that did are left out where there are others. The runs of a lazily opened store are
    read by the executor.
    """
    if not isinstance(measured, (Measurements, pd.DataFrame)):
        raise ValueError(f"expected Measurements or a requests table; got {type(measured).__name__}")
    held = without_recorded(measured) if isinstance(measured, Measurements) else Measurements.of(requests=measured)
    if isinstance(held.tables, StoredTables):
        if executor is not None:
            held = replace(held, tables=held.tables.using(executor))
        count = int(held.count("requests").sum())
        named = AGGREGATED in streamed(held, usual).endpoints
    else:
        count, named = len(held.requests), (held.requests["endpoint"] == AGGREGATED).any()
    if named:
        raise ComparisonError(f"{AGGREGATED!r} means all requests of a run together: rename the endpoint of that name")
    if not count:
        raise ComparisonError("there are no requests in these measurements")
    return held


def evidence_of(
    measured: Measurements | pd.DataFrame, metric: Metric, executor: Executor | None = None, usual: Usual = ()
) -> Measurements:
    """The requests, or for a metric of pages its visits as requests."""
    return visits.as_requests(measured) if metric.table == VITALS else requests_of(measured, executor, usual)


def endpoints_of(held: Measurements) -> list[str]:
    """The endpoints of the requests, in order of appearance."""
    return list(streamed(held).endpoints) if held.lazy else list(map(str, pd.unique(held.requests["endpoint"])))


def without_warmup(measured: Measurements, warmup: float) -> pd.DataFrame:
    """The requests that started after the first ``warmup`` share of their run."""
    return measured.requests[coded(measured).age >= warmup] if warmup else measured.requests


def after_warmup(held: Measurements, warmup: float) -> Iterator[pd.DataFrame]:
    """The requests after the warm-up, of all runs at once, or of a lazily opened store of each run that has any."""
    return (kept for one in held.pieces() if one.length("requests") and len(kept := without_warmup(one, warmup)))


def by_run(
    measured: Measurements | Requests | Streamed,
    metrics: Sequence[str | Metric],
    *,
    warmup: float = 0.0,
    longer: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """One row per run and endpoint, including "Aggregated": run, endpoint, count, then a column for each metric.

    ``longer`` maps endpoints to a warm-up longer than ``warmup``.
    """
    requests = streamed(measured) if isinstance(measured, Measurements) else measured
    wanted = tuple(Metric.of(metric).name for metric in metrics)
    computed = _with_usual(wanted) if isinstance(requests, Streamed) else wanted
    cuts = tuple(sorted((name, float(share)) for name, share in (longer or {}).items()))
    sampled = any(Metric.of(name).kind == RESOURCE for name in computed)
    pieces = requests.each(metrics_of, computed, float(warmup), cuts, resources=sampled)
    joined = {
        name: np.concatenate([piece.found[name] for piece in pieces]) for name in ("count", *wanted) if pieces
    }  # fmt: skip
    run = np.concatenate([piece.run[piece.found["run"].astype("intp")] for piece in pieces])
    # -1 is the last of the names: all requests together.
    endpoint = np.concatenate(
        [np.append(piece.endpoint, -1)[piece.found["endpoint"].astype("intp")] for piece in pieces]
    )
    order = np.lexsort([endpoint, run])
    names = pd.array([*requests.endpoints, AGGREGATED], dtype="str")
    counts = joined.pop("count")[order].astype("int64")
    values = {name: column[order] for name, column in joined.items()}
    return pd.DataFrame(
        {
            "run": pd.array(requests.runs, dtype="str").take(run[order]),
            "endpoint": names.take(endpoint[order] % len(names)),
            "count": counts,
            **{
                name: column.astype("int64") if Metric.of(name).kind == COUNT else column
                for name, column in values.items()
            },
        }
    )


def _with_usual(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics to compute of a stored run: all that a summary needs at once, if these are among them."""
    kept = (*_SUMMARIZED, _SIZE)
    return kept if set(wanted) <= set(kept) else wanted


def usual_metrics(metrics: Sequence[Metric], warmup: float) -> Usual:
    """What `by_run` will compute of each stored run."""
    if any(metric.kind == RESOURCE or metric.table == VITALS for metric in metrics):
        return ()
    names = tuple(dict.fromkeys(metric.name for metric in metrics))
    return ((metrics_of, (_with_usual(names), float(warmup), ())),)


def metrics_of(
    requests: Requests, metrics: Sequence[str], warmup: float, longer: Sequence[tuple[str, float]]
) -> dict[str, npt.NDArray[Any]]:
    """Metrics of each run and endpoint: codes of run and endpoint (-1 for all together), count, and each metric."""
    cuts = {AGGREGATED: warmup, **dict.fromkeys(requests.endpoints, warmup), **dict(longer)}
    per_endpoint = np.array([cuts[e] for e in requests.endpoints])
    parts = []
    for together in (True, False):
        least = cuts[AGGREGATED] if together else per_endpoint[requests.endpoint]
        kept = requests.take(requests.age >= least) if np.max(least, initial=0.0) > 0 else requests
        names = (AGGREGATED,) if together else requests.endpoints
        key = kept.run if together else kept.run * len(names) + kept.endpoint
        shares = np.array([cuts[AGGREGATED]]) if together else per_endpoint
        parts.append(_grouped(kept, key, names, shares, [Metric.of(metric) for metric in metrics]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
        elif metric.kind == VITAL:
            own = kept.vitals.get(metric.name)
            columns[metric.name] = visits.medians(
                metric, None if own is None else own[order], kept.endpoint[order], edges
            )
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


def summarize(
    measured: Measurements | pd.DataFrame, *, warmup: str | float | None = None, executor: Executor | None = None
) -> pd.DataFrame:
    """Summarize each run by endpoint.

    Parameters
    ----------
    measured : Measurements or DataFrame
        Measurements with requests or vitals, or a requests table.
    warmup : str or float, optional
        The share of each run to leave out; by default the plan's, or 10 %, as in `compare`. 0 keeps everything.
    executor : concurrent.futures.Executor, optional
        What reads the runs of a lazily opened store: a ``ProcessPoolExecutor``, or dask's ``Client.get_executor()``.

    Returns
    -------
    DataFrame
        run, endpoint, count, errors, error_fraction, throughput_per_s, mean_ms, p50_ms, p95_ms, p99_ms, max_ms, and size_bytes
        (the mean of a response) where sizes are known. Quantiles are of type 8; "Aggregated" is all requests of a run. A p95 of
        fewer than 20 requests and a p99 of fewer than 100 would be the maximum, and are missing; those of fewer than 200 and
        1,000 rest on a handful of requests and are shown with ~ (``attrs["warnings"]`` has a note on it). Of visits
        (`run_pages`): run, endpoint (the page), count, the median of each metric (lcp_ms, inp_ms, cls, fcp_ms, ttfb_ms,
        tbt_ms), and the worst rating.

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
    if VITALS in (measured.tables if isinstance(measured, Measurements) else ()) and "requests" not in measured.tables:
        return visits.summary_of(by_run(visits.as_requests(measured), VITAL_NAMES))
    metrics = [Metric.of(name) for name in (*_SUMMARIZED, _SIZE)]
    lazy = isinstance(measured, Measurements) and measured.lazy
    usual = usual_metrics(metrics, warmup_of(measured.runs, warmup)) if lazy else ()
    held = requests_of(measured, executor, usual)
    share = warmup_of(held.runs, warmup)
    table = by_run(held, metrics, warmup=share)
    summarized = (*_SUMMARIZED, _SIZE) if (table[_SIZE] > 0).any() else _SUMMARIZED
    errors = (table["error_fraction"] * table["count"]).round()
    table["errors"] = errors.astype("Int64" if errors.isna().any() else "int64")
    table = table.rename(columns={name: Metric.of(name).column for name in summarized})
    columns = [Metric.of(name).column for name in summarized]
    table = table[["run", "endpoint", "count", "errors", *columns]]
    return tails.marked(
        table, doubts.AFTER_WARMUP(Remedy("summarize", {"warmup": 0}), share_fraction=share) if share else ""
    )
