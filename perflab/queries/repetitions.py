"""Reads repeated with the same values, and writes sent one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries import claims, suggestions
from perflab.queries.changes import ever_changed, stretches
from perflab.queries.clocks import timed
from perflab.queries.n_plus_one import find_n_plus_one
from perflab.queries.questions import questions
from perflab.queries.statements import Statements, statements
from perflab.results import count, findings
from perflab.units import format_ms

_FEWEST_UNITS, _LEAST_UNITS = 5, 0.1

DUPLICATES = (
    "statement", "evidence", "route", "units", "calls", "needless", "time_ms", "time_saved_ms", "unit_time_fraction",
    "suggestion", "example_unit", "source",
)  # fmt: skip
WRITE_LOOPS = (
    "statement", "route", "units", "calls", "calls_per_unit", "time_ms", "calls_saved", "time_saved_ms",
    "unit_time_fraction", "suggestion", "example_unit", "source",
)  # fmt: skip


def find_duplicates(
    queries: pd.DataFrame | Measurements,
    threshold: int = 2,
    *,
    across_units: bool = False,
    dialect: str | None = None,
) -> pd.DataFrame:
    """Reads repeated with the same values, of the same database, schema and tenant, within one unit of work.

    A read counts as needless only where nothing in between could have changed its result: a write to the row (to another row
    changes nothing), TRUNCATE, COPY, REFRESH, CALL, EXECUTE, ROLLBACK. A statement whose values the log lacks (a placeholder
    without a value, a text that was cut or filtered) is never counted.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    threshold : int
        How often the same read must run in a unit to count; across units, in how many units.
    across_units : bool
        The reads that many units make with the same values, of tables that nothing in the log writes to: what a cache in
        front of the database would answer. At least a tenth of the units, and five.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        Those that cost most first: statement (fingerprint), evidence, route, units it happened in, calls (in those), needless
        (calls that a variable, or a cache, would save), time_ms, time_saved_ms, unit_time_fraction (share of those units'
        database time), suggestion, example_unit, source. ``evidence`` is "duplicate", or "possible" where the units of work
        rest on pauses alone, which may have merged requests; the sentence counts the first only.

    Raises
    ------
    ValueError
        A threshold below 2.
    SchemaError
        No sql or duration_ms column.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> sql = ["SELECT name FROM user WHERE id = 7"] * 3 + ["SELECT name FROM user WHERE id = 8"]
    >>> queries = pd.DataFrame({"sql": sql, "duration_ms": 0.5, "unit": "request 1"})
    >>> lab.find_duplicates(queries)[["statement", "calls", "needless"]].values.tolist()
    [['select name from user where id = ?', 3, 2]]
    """
    if isinstance(threshold, bool) or not isinstance(threshold, int) or threshold < 2:
        raise ValueError(f"threshold must be a whole number of at least 2; got {threshold!r}")
    prepared = statements(queries, dialect=dialect, stores=True)
    where = f"{count(len(prepared.frame), 'statement')} of {count(len(prepared.working_units()), 'unit')}"
    if across_units:
        table = _duplicates(prepared, _across(prepared, threshold), "cacheable")
        total = int(table["needless"].sum())
        sentence = (
            f"{count(len(table), 'read')} repeated with the same values across units in {where}: a cache would save "
            f"{count(total, 'call')}, about {timed(format_ms(float(table['time_saved_ms'].sum())), prepared.clock)}"
            if total
            else f"no read repeated with the same values across units in {where}"
        )
        return findings(table, sentence, prepared.units.notes)
    table = _duplicates(prepared, _within(prepared, threshold), claims.DUPLICATE)
    sure = table[table["evidence"] == claims.DUPLICATE]
    needless = int(sure["needless"].sum())
    sentence = (
        f"{count(needless, 'needless call')} in {where}: reads repeated with the same values within a unit, about "
        f"{timed(format_ms(float(sure['time_saved_ms'].sum())), prepared.clock)}"
        if needless
        else f"no read repeated with the same values within a unit in {where}"
    )
    return findings(table, sentence, prepared.units.notes)


def reads(prepared: Statements) -> pd.DataFrame:
    """The reads whose values are known: place, unit, fp, question, time_ms."""
    reads = np.array([s.kind in ("lookup", "batch", "scan") for s in prepared.shapes], dtype=bool)
    fp = prepared.frame["fp"].to_numpy()
    place = np.flatnonzero(reads[fp]) if len(fp) else np.zeros(0, dtype="int64")
    part = prepared.frame.iloc[place]
    table = pd.DataFrame(
        {
            "place": place,
            "unit": part["unit"].to_numpy(),
            "fp": fp[place],
            "question": questions(part, prepared.dialect),
            "time_ms": part["duration_ms"].to_numpy(),
        }
    )
    return table[table["question"] >= 0]


def _within(prepared: Statements, threshold: int) -> pd.DataFrame:
    """A row for each question asked again in a unit while nothing changed."""
    asked = reads(prepared)
    times = asked.groupby(["unit", "fp", "question"])["place"].transform("size")
    asked = asked[times >= threshold]
    asked = asked.assign(stretch=stretches(prepared, asked["place"].to_numpy()))
    groups = asked.groupby(["unit", "fp", "question", "stretch"], sort=True)
    parts = groups.agg(calls=("place", "size"), time_ms=("time_ms", "sum"), first=("place", "min")).reset_index()
    parts = parts[parts["calls"] >= 2].assign(
        needless=lambda t: t["calls"] - 1, saved=lambda t: t["time_ms"] * (1 - 1 / t["calls"])
    )
    whole = parts.groupby(["unit", "fp", "question"], sort=True).agg(
        calls=("calls", "sum"), needless=("needless", "sum"), time_ms=("time_ms", "sum"), saved=("saved", "sum"),
        first=("first", "min"),
    )  # fmt: skip
    return whole[whole["calls"] >= threshold].reset_index()


def _across(prepared: Statements, threshold: int) -> pd.DataFrame:
    """A row for each unit and question that many units ask, of tables that are never written to."""
    asked = reads(prepared)
    asked = asked[~asked["fp"].isin(ever_changed(prepared))]
    units = asked.groupby(["fp", "question"])["unit"].transform("nunique")
    many = max(threshold, _FEWEST_UNITS, _LEAST_UNITS * len(prepared.working_units()))
    asked = asked[units >= many]
    groups = asked.groupby(["unit", "fp", "question"], sort=True)
    table = groups.agg(calls=("place", "size"), time_ms=("time_ms", "sum"), first=("place", "min")).reset_index()
    again = table.groupby(["fp", "question"]).cumcount() > 0  # the first answer of all fills the cache
    return table.assign(needless=table["calls"] - ~again, saved=table["time_ms"] * (1 - ~again / table["calls"]))


def _duplicates(prepared: Statements, again: pd.DataFrame, evidence: str) -> pd.DataFrame:
    frame = prepared.frame
    again = again.assign(
        route=frame["route"].to_numpy(dtype=object)[again["first"].to_numpy()],
        source=frame["source"].to_numpy(dtype=object)[again["first"].to_numpy()],
        statement=np.array(prepared.fingerprints, dtype=object)[again["fp"].to_numpy()] if len(again) else [],
        low=prepared.units.low[again["unit"].to_numpy()] & (evidence == claims.DUPLICATE),
    )
    unit_time = frame.groupby("unit")["duration_ms"].sum()
    rows = []
    for (statement, route, low), part in again.groupby(["statement", "route", "low"], sort=False):
        units = part["unit"].unique()
        whole = float(unit_time.reindex(units).sum())
        worst = part.loc[part["needless"].idxmax(), "unit"]
        rows.append(
            {
                "statement": statement, "evidence": claims.POSSIBLE if low else evidence, "route": route or None,
                "units": len(units), "calls": int(part["calls"].sum()), "needless": int(part["needless"].sum()),
                "time_ms": float(part["time_ms"].sum()), "time_saved_ms": float(part["saved"].sum()),
                "unit_time_fraction": float(part["time_ms"].sum()) / whole if whole else 0.0,
                "suggestion": suggestions.suggestion(None, str(statement), evidence),
                "example_unit": str(prepared.units.names[int(worst)]),
                "source": next((s for s in part["source"] if isinstance(s, str) and s), None),
            }
        )  # fmt: skip
    table = _typed(pd.DataFrame(rows, columns=list(DUPLICATES)), DUPLICATES)
    return table.sort_values(["time_saved_ms", "needless"], ascending=False, kind="stable")


def find_write_loops(
    queries: pd.DataFrame | Measurements, threshold: int = 5, *, dialect: str | None = None
) -> pd.DataFrame:
    """INSERT, UPDATE or DELETE statements sent one by one in a unit of work, where one statement would do.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    threshold : int
        A write must be repeated at least this often in a unit to count.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        Those that cost most first: statement (fingerprint), route, units, calls, calls_per_unit, time_ms, calls_saved,
        time_saved_ms, unit_time_fraction (share of those units' database time), suggestion (executemany, the ORM's bulk
        call), example_unit, source.

    Raises
    ------
    ValueError
        A threshold below 2.
    SchemaError
        No sql or duration_ms column.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> sql = [f"INSERT INTO line (amount) VALUES ({i})" for i in range(8)]
    >>> loops = lab.queries.find_write_loops(pd.DataFrame({"sql": sql, "duration_ms": 0.5, "unit": "request 1"}))
    >>> loops[["statement", "calls", "calls_saved"]].values.tolist()
    [['insert into line(amount) values (...)', 8, 7]]
    """
    found = find_n_plus_one(queries, threshold, dialect=dialect)
    loops = pd.DataFrame(found[found["evidence"] == "write loop"]).rename(columns={"child": "statement"})
    loops = loops[list(WRITE_LOOPS)].sort_values("time_ms", ascending=False, kind="stable")
    calls, saved = int(loops["calls"].sum()), float(loops["time_saved_ms"].sum())
    sentence = (
        f"{count(calls, 'write')} one by one, of {count(len(loops), 'kind')}: one statement for each kind would save at most "
        f"{format_ms(saved)} of statement time"
        if len(loops)
        else "no write loops found"
    )
    return findings(loops, sentence, found.attrs["warnings"])


def _typed(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """The same dtypes with and without rows."""
    texts = {"statement", "evidence", "route", "suggestion", "example_unit", "source"}
    counts = {"units", "calls", "needless"}
    return table.astype({c: "str" if c in texts else "int64" if c in counts else "float64" for c in columns})
