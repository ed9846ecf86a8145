"""One number for each run and endpoint: quantiles of type 8, means, throughput, error share; and `summarize`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.errors import ComparisonError
from perflab.tables import AGGREGATED, Measurements

Floats = npt.NDArray[np.float64]

DEFAULT_WARMUP = 0.10
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
OTHER_METRICS = ("mean", "throughput_per_s", "error_fraction")


def quantile_of(metric: str) -> float | None:
    """The share that a quantile metric names, None for another metric; ValueError for none at all.

    >>> quantile_of("p99.9"), quantile_of("mean")
    (0.9990000000000001, None)
    """
    if metric in OTHER_METRICS:
        return None
    found = _QUANTILE.fullmatch(metric) if isinstance(metric, str) else None
    if not found or float(found[1]) <= 0:
        raise ValueError(f'metric must be "p95" or any "p<q>", {", ".join(OTHER_METRICS)}; got {metric!r}')
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


def requests_of(measured: Measurements | pd.DataFrame) -> Measurements:
    """Measurements of a requests table, or what was given; ComparisonError when there is no request in it."""
    held = measured if isinstance(measured, Measurements) else Measurements.of(requests=measured)
    if not len(held.requests):
        raise ComparisonError("there are no requests in these measurements")
    return held


def without_warmup(measured: Measurements, warmup: float) -> pd.DataFrame:
    """The requests that started after the first ``warmup`` share of their run."""
    requests = measured.requests
    if warmup == 0:
        return requests
    runs = measured.runs.set_index("run")
    start = requests["run"].map(runs["start"])
    first = requests["start"].groupby(requests["run"]).transform("min")
    begun = start.where(start.notna() & (start <= first), first)
    span = requests["run"].map(runs["duration_ms"])
    age = (requests["start"] - begun).dt.total_seconds() * 1e3
    return requests[(age >= warmup * span).to_numpy()]


def by_run(measured: Measurements, metrics: Sequence[str], *, warmup: float = 0.0) -> pd.DataFrame:
    """One row for each run and endpoint, "Aggregated" among them: run, endpoint, count, then a column a metric."""
    requests = without_warmup(measured, warmup)
    spans = measured.runs.set_index("run")["duration_ms"] * (1 - warmup) / 1e3
    run_codes, runs = pd.factorize(requests["run"])
    endpoint_codes, endpoints = pd.factorize(requests["endpoint"])
    latencies = requests["latency_ms"].to_numpy(dtype="float64")
    failed = ~requests["ok"].to_numpy(dtype=bool)
    rows: list[dict[str, Any]] = []
    for run, run_rows in _groups(run_codes, len(runs)):
        seconds = float(spans.get(runs[run], math.nan))
        mine = endpoint_codes[run_rows]
        parts = [(AGGREGATED, run_rows)]
        parts += [(str(endpoints[code]), run_rows[chosen]) for code, chosen in _groups(mine, len(endpoints))]
        for endpoint, chosen in parts:
            values = _values(latencies[chosen], failed[chosen], metrics, seconds)
            rows.append({"run": runs[run], "endpoint": endpoint, "count": len(chosen), **values})
    frame = pd.DataFrame(rows, columns=["run", "endpoint", "count", *metrics])
    return frame.astype({"run": "str", "endpoint": "str", "count": "int64"})


def _groups(codes: npt.NDArray[np.intp], size: int) -> list[tuple[int, npt.NDArray[np.intp]]]:
    """(code, positions) of each group that occurs."""
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(size + 1))
    return [(i, order[edges[i] : edges[i + 1]]) for i in range(size) if edges[i] < edges[i + 1]]


def _values(
    latencies: Floats, failed: npt.NDArray[np.bool_], metrics: Sequence[str], seconds: float
) -> dict[str, float]:
    shares = {metric: share for metric in metrics if (share := quantile_of(metric)) is not None}
    found = dict(zip(shares, quantile(latencies, list(shares.values())).tolist(), strict=True)) if shares else {}
    for metric in metrics:
        if metric == "mean":
            found[metric] = float(latencies.mean())
        elif metric == "error_fraction":
            found[metric] = float(failed.mean())
        elif metric == "throughput_per_s":
            found[metric] = len(latencies) / seconds if seconds > 0 else math.nan
    return found


def summarize(measured: Measurements | pd.DataFrame, *, warmup: str | float = 0.0) -> pd.DataFrame:
    """What happened in each run, by endpoint.

    Parameters
    ----------
    measured : Measurements with requests, or a requests table.
    warmup : share of each run to leave out ("10%"); nothing by default.

    Returns
    -------
    DataFrame: run, endpoint, count, errors, error_fraction, throughput_per_s, mean_ms, p50_ms, p95_ms, p99_ms, max_ms.
    Quantiles are of type 8; "Aggregated" is all of a run together.

    >>> import pandas as pd
    >>> at = pd.date_range("2026-01-01", periods=4, freq="s", tz="UTC")
    >>> requests = pd.DataFrame({"run": "a", "endpoint": "GET /", "start": at, "latency_ms": [1., 2., 3., 9.], "ok": True})
    >>> summarize(requests).p50_ms.to_list()
    [2.5, 2.5]
    """
    from perflab.units import parse_fraction

    share = parse_fraction(warmup, parameter="warmup")
    held = requests_of(measured)
    table = by_run(held, ["error_fraction", "throughput_per_s", "mean", "p50", "p95", "p99", "p100"], warmup=share)
    table["errors"] = (table["error_fraction"] * table["count"]).round().astype("int64")
    named = table.rename(
        columns={"mean": "mean_ms", "p50": "p50_ms", "p95": "p95_ms", "p99": "p99_ms", "p100": "max_ms"}
    )
    columns = ["run", "endpoint", "count", "errors", "error_fraction", "throughput_per_s"]
    return named[[*columns, "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"]]


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
