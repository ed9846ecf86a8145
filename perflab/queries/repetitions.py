"""Reads repeated with the same values, and writes sent one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries import suggestions
from perflab.queries.n_plus_one import find_n_plus_one
from perflab.queries.repeats import joined_parameters, unknown_values, without_comments
from perflab.queries.statements import Statements, statements
from perflab.results import count, findings
from perflab.units import format_ms

Ints = npt.NDArray[np.int64]

DUPLICATES = (
    "statement", "route", "units", "calls", "needless", "time_ms", "time_saved_ms", "unit_time_fraction", "suggestion",
    "example_unit", "source",
)  # fmt: skip
WRITE_LOOPS = (
    "statement", "route", "units", "calls", "calls_per_unit", "time_ms", "calls_saved", "time_saved_ms",
    "unit_time_fraction", "suggestion", "example_unit", "source",
)  # fmt: skip


def find_duplicates(
    queries: pd.DataFrame | Measurements, threshold: int = 2, *, dialect: str | None = None
) -> pd.DataFrame:
    """Reads repeated with the same values within one unit of work.

    A read repeated after a write to one of its tables is not counted, nor is a statement whose values the log lacks.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    threshold : int
        How often the same read must run in a unit to count.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        Those that cost most first: statement (fingerprint), route, units it happened in, calls (in those), needless (calls
        that a variable or a request cache would save), time_ms, time_saved_ms, unit_time_fraction (share of those units'
        database time), suggestion, example_unit, source.

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
    prepared = statements(queries, dialect=dialect)
    asked = _asked(prepared)
    again = asked[asked["calls"] >= threshold]
    again = again[~_written_between(prepared, again)]
    table = _duplicates(prepared, again)
    needless = int(table["needless"].sum())
    where = f"{count(len(prepared.frame), 'statement')} of {count(len(prepared.working_units()), 'unit')}"
    sentence = (
        f"{count(needless, 'needless call')} in {where}: reads repeated with the same values within a unit, about "
        f"{format_ms(float(table['time_saved_ms'].sum()))} of database time"
        if needless
        else f"no read repeated with the same values within a unit in {where}"
    )
    return findings(table, sentence, prepared.units.notes)


def _asked(prepared: Statements) -> pd.DataFrame:
    """A row for each (unit, statement, values): calls, their time, the places of the first and the last."""
    reads = np.array([s.kind in ("lookup", "batch", "scan") for s in prepared.shapes], dtype=bool)
    place = (
        np.flatnonzero(reads[prepared.frame["fp"].to_numpy()]) if len(prepared.frame) else np.zeros(0, dtype="int64")
    )
    part = prepared.frame.iloc[place]
    texts, kinds = pd.factorize(without_comments(part["sql"]))
    values, _ = pd.factorize(joined_parameters(part["parameters"]), use_na_sentinel=True)
    known = ~((values < 0) & unknown_values(kinds)[texts]) if len(part) else np.zeros(0, dtype=bool)
    keys = pd.DataFrame(
        {"unit": part["unit"].to_numpy(), "fp": part["fp"].to_numpy(), "text": texts, "values": values, "place": place,
         "time_ms": part["duration_ms"].to_numpy()}
    )[known]  # fmt: skip
    groups = keys.groupby(["unit", "fp", "text", "values"], sort=True)
    return groups.agg(
        calls=("place", "size"), time_ms=("time_ms", "sum"), first=("place", "min"), last=("place", "max")
    ).reset_index()


def _written_between(prepared: Statements, again: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether a write to one of its tables ran between the first and the last call."""
    fp = prepared.frame["fp"].to_numpy()
    writes: dict[str, list[Ints]] = {}
    for code, shape in enumerate(prepared.shapes):
        if shape.kind == "write":
            places = np.flatnonzero(fp == code)
            for table in shape.tables:
                writes.setdefault(table, []).append(places)
    changed = {table: np.sort(np.concatenate(places)) for table, places in writes.items()}
    found = np.zeros(len(again), dtype=bool)
    first, last, codes = (again[c].to_numpy() for c in ("first", "last", "fp"))
    for code in np.unique(codes):
        for table in prepared.shapes[code].tables:
            if table in changed:
                mine = codes == code
                between = np.searchsorted(changed[table], last[mine]) - np.searchsorted(changed[table], first[mine])
                found[mine] |= between > 0
    return found


def _duplicates(prepared: Statements, again: pd.DataFrame) -> pd.DataFrame:
    frame = prepared.frame
    again = again.assign(
        needless=again["calls"] - 1,
        saved=again["time_ms"] * (1 - 1 / again["calls"]),
        route=frame["route"].to_numpy(dtype=object)[again["first"].to_numpy()],
        source=frame["source"].to_numpy(dtype=object)[again["first"].to_numpy()],
        statement=[prepared.fingerprints[code] for code in again["fp"]],
    )
    unit_time = frame.groupby("unit")["duration_ms"].sum()
    rows = []
    for (statement, route), part in again.groupby(["statement", "route"], sort=False):
        units = part["unit"].unique()
        whole = float(unit_time.reindex(units).sum())
        worst = part.loc[part["needless"].idxmax(), "unit"]
        rows.append(
            {
                "statement": statement, "route": route or None, "units": len(units), "calls": int(part["calls"].sum()),
                "needless": int(part["needless"].sum()), "time_ms": float(part["time_ms"].sum()),
                "time_saved_ms": float(part["saved"].sum()),
                "unit_time_fraction": float(part["time_ms"].sum()) / whole if whole else 0.0,
                "suggestion": suggestions.suggestion(None, str(statement), "duplicate"),
                "example_unit": str(prepared.units.names[int(worst)]),
                "source": next((s for s in part["source"] if isinstance(s, str) and s), None),
            }
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(DUPLICATES))
    table = _typed(table, DUPLICATES)
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
    >>> loops = lab.find_write_loops(pd.DataFrame({"sql": sql, "duration_ms": 0.5, "unit": "request 1"}))
    >>> loops[["statement", "calls", "calls_saved"]].values.tolist()
    [['insert into line(amount) values (...)', 8, 7]]
    """
    found = find_n_plus_one(queries, threshold, dialect=dialect)
    loops = pd.DataFrame(found[found["evidence"] == "write loop"]).rename(columns={"child": "statement"})
    loops = loops[list(WRITE_LOOPS)].sort_values("time_ms", ascending=False, kind="stable")
    calls, saved = int(loops["calls"].sum()), float(loops["time_saved_ms"].sum())
    sentence = (
        f"{count(calls, 'write')} one by one, of {count(len(loops), 'kind')}: one statement for each kind would save at most "
        f"{format_ms(saved)} of database time"
        if len(loops)
        else "no write loops found"
    )
    return findings(loops, sentence, found.attrs["warnings"])


def _typed(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """The same dtypes with and without rows."""
    texts = {"statement", "route", "suggestion", "example_unit", "source"}
    counts = {"units", "calls", "needless"}
    return table.astype({c: "str" if c in texts else "int64" if c in counts else "float64" for c in columns})
