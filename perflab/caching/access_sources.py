"""Which table of a recording a cache would stand in front of."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import pandas as pd

from perflab.caching.accesses import Accesses, Floats, Ints, Keys
from perflab.caching.key_traces import FUNCTION, of_functions, of_trace, sizes_of
from perflab.caching.request_accesses import URL, of_requests
from perflab.caching.statement_accesses import STATEMENT, of_statements
from perflab.data.tables import Measurements
from perflab.errors import MissingTableError

_TABLES = {STATEMENT: "queries", URL: "requests", FUNCTION: "spans"}


def accesses_of(
    x: Any, keys: Keys = None, *, dialect: str | None = None, writes: pd.DataFrame | None = None
) -> Accesses:
    """The accesses of measurements, of a table, or of a sequence of keys; see `what_if_cache`."""
    if isinstance(x, Accesses):
        return x
    if isinstance(x, Measurements):
        return _of_measurements(x, keys, dialect)
    if not isinstance(x, pd.DataFrame):
        if isinstance(x, (str, bytes, Mapping, Set)) or not hasattr(x, "__len__"):
            raise ValueError(f"x must be Measurements, a table, or a sequence of keys; got {type(x).__name__}")
        return of_trace(x, keys, writes)
    if not len(x):
        raise ValueError("x must hold accesses; the table has no rows")
    if "sql" in x.columns and keys in (None, STATEMENT):
        return of_statements(x, dialect)
    if {"endpoint", "start"} <= set(x.columns) and {"latency_ms", "url"} & set(x.columns):
        return of_requests(x, keys, None)
    if "span" in x.columns and keys in (None, FUNCTION):
        return of_functions(x)
    return of_trace(x, keys, writes)


def keys_of(x: Any, keys: Keys = None) -> tuple[Ints, Floats, int]:
    """The key (a code from 0 on) and the size of each access in their order, and how many have no key.

    Of a plain trace without the rest of what `Accesses` hold: ten million then take a fifth of the memory.
    """
    plain = (
        isinstance(x, pd.DataFrame) and "key" in x.columns and not {"sql", "run", "endpoint", "start"} & set(x.columns)
    )
    if plain and keys in (None, "key"):
        values, sizes = x["key"], sizes_of(x)
    elif isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype != object and keys is None:
        values, sizes = x, np.full(len(x), np.nan)
    else:
        found = accesses_of(x, keys)
        order = np.lexsort((found.at_s, found.run))
        key = pd.factorize(found.key[order])[0].astype("int64")
        return key, found.size_bytes[order], found.unknown
    key = pd.factorize(values)[0]
    known = key >= 0
    if not known.all():
        key, sizes = key[known], sizes[known]
    return key, sizes, int(len(known) - known.sum())


def _of_measurements(measured: Measurements, keys: Keys, dialect: str | None) -> Accesses:
    tables = measured.tables
    named = _TABLES.get(keys) if isinstance(keys, str) else None
    if named is not None and named not in tables:
        held = ", ".join(tables) or "nothing"
        raise MissingTableError(f"keys={keys!r} needs the table {named!r}; these measurements hold {held}")
    if named == "queries" or (keys is None and ("queries" in tables or "requests" not in tables)):
        return of_statements(measured, dialect)
    if named == "spans":
        return of_functions(measured.spans)
    if named is None and "requests" not in tables and "queries" in tables:
        return of_trace(measured.queries, keys)
    return of_requests(measured.requests, keys, tables.get("spans"))
