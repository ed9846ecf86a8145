"""Queries by fingerprint: how often, how long, how much of the whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.stored_runs import StoredTables
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
    took, names = _by_fingerprint(queries, dialect)
    groups = took.groupby("fingerprint", sort=False)
    time = groups["duration_ms"]
    summary = pd.DataFrame(
        {"calls": time.size(), "total_ms": time.sum(), "mean_ms": time.mean(), **_quantiles(took), "max_ms": time.max()}
    )
    summary["rows"] = groups["rows"].sum(min_count=1)
    whole = float(summary["total_ms"].sum())
    summary["time_fraction"] = summary["total_ms"] / whole if whole else 0.0
    shown = summary.sort_values("total_ms", ascending=False, kind="stable").rename_axis("fingerprint").reset_index()
    shown["fingerprint"] = pd.Series(names, dtype="str").iloc[shown["fingerprint"]].array
    clock = clock_of(queries)
    time = timed(format_ms(whole), clock) if clock else f"{format_ms(whole)} in the database"
    return findings(shown, f"{count(len(took), 'statement')} of {count(len(shown), 'kind')}, {time}")


def _by_fingerprint(queries: pd.DataFrame | Measurements, dialect: str | None) -> tuple[pd.DataFrame, list[str]]:
    """The code of each statement's fingerprint, its duration and its rows; and the fingerprints by their code.

    Of a lazily opened store the statements are read some at a time: what is kept of each is 21 bytes.
    """
    names: dict[str, int] = {}
    parts = []
    for table in _pieces(queries):
        found, own = pd.factorize(fingerprints_of(table, dialect).fillna("(no statement)"))
        codes = np.array([names.setdefault(str(name), len(names)) for name in own], dtype="int32")
        rows = table["rows"].astype("Int64").where(lambda r: r >= 0).array if "rows" in table else None
        part = {"fingerprint": codes[found], "duration_ms": table["duration_ms"].to_numpy(dtype="float64")}
        parts.append(
            pd.DataFrame(part | {"rows": pd.array([pd.NA] * len(table), dtype="Int64") if rows is None else rows})
        )
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True), [*names]


def _pieces(queries: pd.DataFrame | Measurements) -> Iterator[pd.DataFrame]:
    tables = queries.tables if isinstance(queries, Measurements) else None
    if not isinstance(tables, StoredTables) or not any(run.rows.get("queries") for run in tables.stored.values()):
        yield queries_of(queries)
        return
    for run in tables.stored.values():
        if run.rows.get("queries"):
            yield from run.batches("queries", ("start", "sql", "duration_ms", "rows", "dialect"))


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
