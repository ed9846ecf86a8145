"""Connections per unit of work: an application that reconnects for each request pays for it in each of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import SchemaError
from perflab.queries.statements import statements
from perflab.results import Findings, count, findings
from perflab.units import format_ms

COLUMNS = (
    "database", "evidence", "connections", "units", "units_per_connection", "first_ms", "usual_ms", "time_saved_ms", "suggestion",
)  # fmt: skip
EACH, REUSED = "connection per request", "reused"
_MOST_UNITS, _FEWEST = 1.5, 20


def find_connections(queries: pd.DataFrame | Measurements, *, dialect: str | None = None) -> Findings:
    """How many units of work a connection serves, and what its first statement costs.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one, with the sessions that a server's log has.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        A row for each database: database, evidence ("connection per request": at least 20 connections that serve 1.5 units
        or less each; else "reused"), connections, units, units_per_connection, first_ms (median of the first statement of a
        connection), usual_ms (median of the same statements elsewhere; of all others where they run nowhere else),
        time_saved_ms (the difference, once for each connection; the handshake, which no log of statements has, comes on
        top), suggestion.

    Raises
    ------
    SchemaError
        No session column.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> sql = ["SELECT name FROM staff WHERE id = 1", "SELECT title FROM task"] * 30
    >>> sessions = [str(i // 2) for i in range(60)]
    >>> queries = pd.DataFrame({"sql": sql, "duration_ms": [1.5, 0.5] * 30, "session": sessions})
    >>> lab.queries.find_connections(queries)[["evidence", "connections", "first_ms"]].values.tolist()
    [['connection per request', 30, 1.5]]
    """
    prepared = statements(queries, dialect=dialect)
    frame = prepared.frame
    if frame["session"].isna().all():
        raise SchemaError("queries", ["column 'session' is missing: the log does not tell connections apart"])
    frame = frame[frame["session"].notna() & frame["unit"].isin(prepared.working_units())]
    rows = []
    for database, part in frame.groupby(frame["database"].astype("str").fillna(""), sort=True):
        ordered = part.sort_values("start", kind="stable")
        first = ~ordered["session"].duplicated()
        kinds = ordered["fp"].isin(ordered.loc[first, "fp"])
        elsewhere = (
            ordered.loc[~first & kinds, "duration_ms"] if (~first & kinds).any() else ordered.loc[~first, "duration_ms"]
        )
        connections, units = int(first.sum()), int(part["unit"].nunique())
        each = connections >= _FEWEST and units <= _MOST_UNITS * connections
        opening, usual = float(ordered.loc[first, "duration_ms"].median()), float(elsewhere.median())
        rows.append(
            {
                "database": database or None, "evidence": EACH if each else REUSED, "connections": connections, "units": units,
                "units_per_connection": units / connections, "first_ms": opening, "usual_ms": usual,
                "time_saved_ms": max(0.0, np.nan_to_num(opening - usual)) * connections if each else 0.0,
                "suggestion": "Keep connections open between requests: Django's CONN_MAX_AGE, a pool in the application, or "
                "PgBouncer." if each else "",
            }
        )  # fmt: skip
    table = _typed(rows)
    found = table[table["evidence"] == EACH]
    sentence = (
        f"{count(int(found['connections'].sum()), 'connection')} for {count(int(found['units'].sum()), 'unit')} of work: the "
        f"first statement of each takes {format_ms(float(found['first_ms'].iloc[0]))} (usually "
        f"{format_ms(float(found['usual_ms'].iloc[0]))}), and connecting comes on top"
        if len(found)
        else f"{count(int(table['connections'].sum()), 'connection')} for {count(int(table['units'].sum()), 'unit')} of work"
    )
    return findings(table, sentence, prepared.units.notes)


def _typed(rows: list[dict[str, object]]) -> pd.DataFrame:
    texts, counts = ("database", "evidence", "suggestion"), ("connections", "units")
    kinds = {c: "str" if c in texts else "int64" if c in counts else "float64" for c in COLUMNS}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds)
