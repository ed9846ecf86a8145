"""Evidence reduced for exploring a million rows: texts as categories, and only the columns in use."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from perflab.data.tables import Measurements, columns_of

_FOR_STATISTICS = ("run", "endpoint", "start", "latency_ms", "ok", "due", "pair", "arm")

MOST_ROWS = 20_000_000
"""Rows of a table that are held in memory to be explored: requests take some 2 GB."""
_CODED = ("run", "endpoint")
_TOGETHER = 10
_SELECTED = ("run", "endpoint", "start", "latency_ms", "ok")
ROW = "row"
"""The column that says which row of the table a request is."""


def fits(measurements: Measurements, *tables: str) -> bool:
    """Whether these tables, or all, are in memory or may be."""
    return not measurements.lazy or all(measurements.length(t) <= MOST_ROWS for t in tables or measurements.tables)


def in_memory(measurements: Measurements) -> Measurements:
    """The same with all tables in memory, as every turn of a control uses them; ValueError where they are too large."""
    if not measurements.lazy:
        return measurements
    if not fits(measurements):
        table = max(measurements.tables, key=measurements.length)
        found = f"{measurements.length(table):,} rows of {table}"
        raise ValueError(f"Choose fewer runs: these have {found}, and {MOST_ROWS:,} fit in memory.")
    return replace(measurements, tables=MappingProxyType(dict(measurements.tables)))


def latest_that_fit(measurements: Measurements) -> tuple[str, ...]:
    """The names of the runs that started last and whose tables fit in memory together; of one at least."""
    latest = measurements.runs.sort_values("start", ascending=False, kind="stable")["run"]
    counts = {table: measurements.count(table) for table in measurements.tables if table != "runs"}
    total = pd.DataFrame(counts).max(axis="columns").reindex(latest, fill_value=0).cumsum()
    fit = {*total.index[total <= MOST_ROWS], total.index[0]}
    return tuple(str(run) for run in measurements.runs["run"] if run in fit)


def with_categories(measurements: Measurements) -> Measurements:
    """The same rows with runs and endpoints as categories, so that selecting among a million takes milliseconds.

    Other texts stay as they are: ids of requests differ in every row, and views of causes count few rows.
    """
    requests = measurements.requests
    texts = [c for c in _CODED if c in requests.columns and isinstance(requests[c].dtype, pd.StringDtype)]
    columns = {c: _categories(requests[c]) if c == "run" else requests[c].astype("category") for c in texts}
    coded = requests.assign(**columns)
    tables = {**measurements.tables, "requests": coded}
    for name in ("load", "resources"):
        if name in tables:
            frame = tables[name]
            tables[name] = frame.assign(**{c: frame[c].astype("category") for c in ("run", "process") if c in frame})
    return Measurements(MappingProxyType(tables), measurements.meta, measurements.warnings)


def _categories(texts: pd.Series[Any]) -> pd.Series[Any]:
    """The same as ``astype("category")``; equal texts next to each other, as those of runs, are compared and not hashed."""
    arrow = pa.array(texts)
    held = pc.run_end_encode(arrow.combine_chunks() if isinstance(arrow, pa.ChunkedArray) else arrow)
    if len(held.values) > len(texts) // _TOGETHER or held.values.null_count:
        return texts.astype("category")
    codes, names = pd.factorize(held.values.to_numpy(zero_copy_only=False))
    order = np.argsort(names)
    written = np.argsort(order).astype("int8" if len(names) < 128 else "int32")[codes]
    rows = np.repeat(written, np.diff(held.run_ends.to_numpy(), prepend=0))
    return pd.Series(pd.Categorical.from_codes(rows, pd.Index(names[order], dtype="str")), index=texts.index)


def for_statistics(measurements: Measurements) -> Measurements:
    """The same with only the columns that a verdict needs; a lazily opened store as it is."""
    if measurements.lazy:
        return measurements
    kept = [c for c in _FOR_STATISTICS if c in measurements.requests.columns]
    return with_categories(_with_requests(measurements, columns_of(measurements.requests, kept)))


def without_listed(measurements: Measurements) -> Measurements:
    """The same without the columns that only a list of requests shows, which can be looked up by `ROW`: to select among a
    million rows is to copy them."""
    joined = any("request" in table for name, table in measurements.tables.items() if name != "requests")
    kept = [*_SELECTED, *(c for c in ("request",) if joined and c in measurements.requests)]
    rows = np.arange(len(measurements.requests), dtype="int32")
    return _with_requests(measurements, columns_of(measurements.requests, kept).assign(**{ROW: rows}))


def _with_requests(measurements: Measurements, requests: pd.DataFrame) -> Measurements:
    return Measurements(
        MappingProxyType({**measurements.tables, "requests": requests}), measurements.meta, measurements.warnings
    )
