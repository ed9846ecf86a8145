"""Queries by fingerprint: how often, how long, how much of the whole."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries.clocks import clock_of, timed
from perflab.queries.statements import fingerprints_of, queries_of
from perflab.results import count, findings
from perflab.units import format_ms

QUANTILES = (0.5, 0.95, 0.99)


def summarize_queries(queries: pd.DataFrame | Measurements, *, dialect: str | None = None) -> pd.DataFrame:
    """Calls and time by fingerprint, the most expensive first.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        Fingerprint, calls, total_ms, mean_ms, p50_ms, p95_ms, p99_ms, max_ms, rows (their sum; missing where the log does
        not say), time_fraction (share of all query time). Quantiles are type 8, as everywhere in perflab.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> queries = pd.DataFrame({"sql": ["SELECT 1", "SELECT 2"], "duration_ms": [1.0, 3.0]})
    >>> lab.summarize_queries(queries)[["fingerprint", "calls", "total_ms"]].values.tolist()
    [['select ?', 2, 4.0]]
    """
    table = queries_of(queries)
    prints = fingerprints_of(table, dialect).fillna("(no statement)").array
    took = pd.DataFrame({"fingerprint": prints, "duration_ms": table["duration_ms"].to_numpy(dtype="float64")})
    took["rows"] = (
        table["rows"].astype("Int64").where(lambda r: r >= 0).array
        if "rows" in table
        else pd.array([pd.NA] * len(took), dtype="Int64")
    )
    groups = took.groupby("fingerprint", sort=False)
    time = groups["duration_ms"]
    summary = pd.DataFrame(
        {"calls": time.size(), "total_ms": time.sum(), "mean_ms": time.mean(), **_quantiles(took), "max_ms": time.max()}
    )
    summary["rows"] = groups["rows"].sum(min_count=1)
    whole = float(summary["total_ms"].sum())
    summary["time_fraction"] = summary["total_ms"] / whole if whole else 0.0
    shown = summary.sort_values("total_ms", ascending=False, kind="stable").rename_axis("fingerprint").reset_index()
    shown["fingerprint"] = shown["fingerprint"].astype("str")
    clock = clock_of(queries)
    time = timed(format_ms(whole), clock) if clock else f"{format_ms(whole)} in the database"
    return findings(shown, f"{count(len(took), 'statement')} of {count(len(shown), 'kind')}, {time}")


def _quantiles(took: pd.DataFrame) -> dict[str, pd.Series[float]]:
    codes, names = pd.factorize(took["fingerprint"])
    values = took["duration_ms"].to_numpy()
    return {f"p{q * 100:g}_ms": pd.Series(quantiles_by(codes, values, q), index=names) for q in QUANTILES}


def quantiles_by(codes: npt.NDArray[np.int64], values: npt.NDArray[np.float64], q: float) -> npt.NDArray[np.float64]:
    """Type 8 quantile (Hyndman & Fan 1996) of the values of each code that occurs, in the order of the codes."""
    order = np.lexsort((values, codes))
    ordered, sizes = values[order], np.bincount(codes)
    sizes = sizes[sizes > 0]
    starts = np.cumsum(sizes) - sizes
    place = np.clip(q * (sizes + 1 / 3) + 1 / 3 - 1, 0, sizes - 1)
    low = np.floor(place).astype("int64")
    high = np.minimum(low + 1, sizes - 1)
    below, above = ordered[starts + low], ordered[starts + high]
    found: npt.NDArray[np.float64] = below + (above - below) * (place - low)
    return found
