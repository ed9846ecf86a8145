"""Statements with the unit of work that each belongs to, and a table of those units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries.fingerprint import of_text
from perflab.queries.statements import fingerprint_codes_of, queries_of, statements
from perflab.queries.units_of_work import FOUND_BY, LOW, units_of_work
from perflab.results import count, findings
from perflab.units import parse_duration


def assign_units(
    queries: pd.DataFrame | Measurements,
    *,
    gap: str | float | None = None,
    begins: str | None = None,
    dialect: str | None = None,
) -> pd.DataFrame:
    """The statements, each with its unit of work, how that was found, and how sure that is.

    All functions on queries do this themselves; call it to inspect the units, or to choose the pause that ends one.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    gap : str or float, optional
        A pause in a session that ends a unit, as "300ms" or a number of seconds, where the log has nothing better. Not
        given: 20 times what pauses usually are, at least 20 ms and at most 1 s.
    begins : str, optional
        The statement that opens each request, or a part of its fingerprint ("from sessions"): where a log in autocommit has
        neither ids nor transactions, sessions are cut there.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        The queries (those with a statement) with ``unit``, ``unit_by`` and ``confidence``. ``unit_by`` is "trace",
        "request", "transaction", "session reset", "opening statement", "connection" (one for each request), "session" or
        "time gap"; the last two have the ``confidence`` "low", all others "high". A unit without an id
        is named session@time of its first statement.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> sql = ["BEGIN", "SELECT 1 FROM t", "COMMIT", "BEGIN", "SELECT 2 FROM t", "COMMIT"]
    >>> queries = pd.DataFrame({"session": "7", "sql": sql, "duration_ms": 0.1})
    >>> lab.queries.assign_units(queries)[["unit", "unit_by", "confidence"]].drop_duplicates().values.tolist()
    [['7@00:00:00.000000', 'transaction', 'high'], ['7@00:00:00.000000#2', 'transaction', 'high']]
    """
    table = queries_of(queries)
    table = table[table["sql"].notna()].reset_index(drop=True)
    prints, texts = fingerprint_codes_of(table, dialect)
    gap_ms = None if gap is None else parse_duration(gap, parameter="gap")
    units = units_of_work(table, prints, texts, gap_ms=gap_ms, begins=_opening(begins, texts, dialect))
    return table.assign(
        unit=pd.array(units.names.to_numpy(dtype=object)[units.codes], dtype="str"),
        unit_by=pd.array(np.array(FOUND_BY, dtype=object)[units.found_by[units.codes]], dtype="str"),
        confidence=pd.array(np.where(units.low, "low", "high").astype(object)[units.codes], dtype="str"),
    )


def _opening(begins: str | None, texts: Sequence[str], dialect: str | None) -> npt.NDArray[np.bool_] | None:
    """Which fingerprints are meant."""
    if begins is None:
        return None
    wanted = of_text(begins, dialect or "generic")
    found = np.array([text == wanted or begins.lower() in text.lower() for text in texts], dtype=bool)
    if not found.any():
        raise ValueError(f"begins must be a statement of these queries, or a part of its fingerprint; got {begins!r}")
    return found


def summarize_units(queries: pd.DataFrame | Measurements, *, dialect: str | None = None) -> pd.DataFrame:
    """A row for each unit of work, those with the most time in the database first.

    Units that do no more than manage their session (SET, DISCARD ALL, a ping) are left out.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        Unit, route, start (of its first statement), statements, kinds (different fingerprints), time_ms (in the database),
        span_ms (from the first statement's start to the last one's end), unit_by, confidence.

    Examples
    --------
    >>> import perflab as lab
    >>> units = lab.queries.summarize_units(lab.read("datasets/shop_queries.jsonl"))
    >>> len(units), units["unit_by"][0]
    (38, 'request')
    """
    prepared = statements(queries, dialect=dialect)
    codes = prepared.working_units()
    frame = prepared.frame[prepared.frame["unit"].isin(codes)]
    groups = frame.groupby("unit", sort=True)
    start = pd.to_datetime(frame["start"], utc=True)
    end = start + pd.to_timedelta(frame["duration_ms"], unit="ms")
    span = end.groupby(frame["unit"]).max() - start.groupby(frame["unit"]).min()
    found_by = prepared.units.found_by[codes]
    table = pd.DataFrame(
        {
            "unit": prepared.units.names.array[codes],
            "route": groups["route"].first().array,
            "start": start.groupby(frame["unit"]).min().array,
            "statements": groups.size().to_numpy(),
            "kinds": groups["fp"].nunique().to_numpy(),
            "time_ms": groups["duration_ms"].sum().to_numpy(),
            "span_ms": (span / pd.Timedelta(milliseconds=1)).to_numpy(),
            "unit_by": pd.array(np.array(FOUND_BY, dtype=object)[found_by], dtype="str"),
            "confidence": pd.array(np.where(found_by >= LOW, "low", "high").astype(object), dtype="str"),
        }
    )
    ways = ", ".join(f"{n:,} by {how}" for how, n in table["unit_by"].value_counts().items())
    sentence = f"{count(len(frame), 'statement')} of {count(len(table), 'unit')} of work{': ' + ways if ways else ''}"
    return findings(table.sort_values("time_ms", ascending=False, kind="stable"), sentence, prepared.units.notes)
