"""Statements ready to be analysed: each with its fingerprint and unit of work, in the order they ran."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import SchemaError, one_of
from perflab.queries import comments
from perflab.queries.clocks import UNKNOWN, clock_of
from perflab.queries.questions import session_states
from perflab.queries.shape import Shape, shape
from perflab.queries.stores import store_calls
from perflab.queries.tokens import DIALECTS
from perflab.queries.units_of_work import Units, instants, units_of_work
from perflab.queries.vectorised import fingerprint, fingerprint_codes

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Statements:
    """``frame`` has run, start, sql, duration_ms, rows, route, parameters, source, database, session, and codes: ``unit``,
    ``fp`` and ``state`` (what the session was set to); it is sorted by unit and time. ``units`` are what the unit codes stand
    for, ``fingerprints`` and ``shapes`` what ``fp`` points to; ``clock`` says whose time the durations are (`clocks`).
    """

    frame: pd.DataFrame
    units: Units
    fingerprints: tuple[str, ...]
    shapes: tuple[Shape, ...]
    dialect: str
    clock: str = UNKNOWN

    def working_units(self) -> Ints:
        """The units with a statement that does more than manage the session."""
        works = np.array([s.kind not in ("control", "no table") for s in self.shapes], dtype=bool)
        codes = self.frame["unit"].to_numpy()
        return np.unique(codes[works[self.frame["fp"].to_numpy()]])


def queries_of(queries: pd.DataFrame | Measurements) -> pd.DataFrame:
    """The queries table of measurements, or the table itself, checked."""
    frame = queries.queries if isinstance(queries, Measurements) else queries
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"queries must be a queries table or Measurements; got {type(queries).__name__}")
    missing = [c for c in ("sql", "duration_ms") if c not in frame.columns]
    if missing:
        raise SchemaError("queries", [f"column {c!r} is missing" for c in missing])
    return frame


def with_stores(queries: pd.DataFrame | Measurements) -> pd.DataFrame:
    """The queries table, with the calls of Redis, MongoDB and the like that the spans hold."""
    tables = queries.tables if isinstance(queries, Measurements) else {}
    calls = store_calls(tables.get("spans"))
    if calls is None:
        return queries_of(queries)
    parts = [queries_of(queries), calls] if "queries" in tables else [calls]
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else calls


def statements(queries: pd.DataFrame | Measurements, *, dialect: str | None = None, stores: bool = False) -> Statements:
    """Fingerprint, group into units of work, and order; with ``stores`` the calls of databases without SQL, too."""
    table = with_stores(queries) if stores else queries_of(queries)
    known = table["sql"].notna().to_numpy()
    table = (table if known.all() else table[known]).reset_index(drop=True)
    prints, texts = fingerprint_codes_of(table, dialect)
    units = units_of_work(table, prints, texts)
    frame = pd.DataFrame(
        {
            "run": table.get("run", ""),
            "start": table.get("start", pd.NaT),
            "unit": units.codes,
            "fp": prints,
            "duration_ms": table["duration_ms"].astype("float64"),
            "rows": _rows(table),
            "sql": table["sql"],
            "parameters": table.get("parameters"),
            "route": _routes(table, units.codes),
            "source": table.get("source"),
            "database": table.get("database"),
            "session": table.get("session"),
        }
    )
    order = np.lexsort((np.arange(len(frame)), instants(table), units.codes))
    frame = frame.iloc[order].reset_index(drop=True)
    return Statements(
        frame=frame.assign(state=session_states(frame, texts)),
        units=units,
        fingerprints=tuple(texts),
        shapes=tuple(shape(text) for text in texts),
        dialect=dialect or _dialect(table),
        clock=clock_of(queries),
    )


def fingerprint_codes_of(table: pd.DataFrame, dialect: str | None = None) -> tuple[Ints, list[str]]:
    """The fingerprints, and which of them each statement has, by the given dialect or the table's ``dialect`` column."""
    if dialect is not None and dialect not in DIALECTS:
        raise one_of("dialect", dialect, DIALECTS)
    if dialect is not None or "dialect" not in table.columns or table["dialect"].nunique(dropna=False) == 1:
        return fingerprint_codes(table["sql"], dialect or _dialect(table))
    codes, names = pd.factorize(fingerprints_of(table))
    return codes.astype("int64"), [str(name) for name in names]


def fingerprints_of(table: pd.DataFrame, dialect: str | None = None) -> pd.Series[str]:
    """The fingerprint of each statement, by the given dialect or the table's own ``dialect`` column."""
    if dialect is not None or "dialect" not in table.columns:
        return fingerprint(table["sql"], dialect or "generic")
    parts = [
        fingerprint(part["sql"], str(name) if name in DIALECTS else "generic")
        for name, part in table.groupby("dialect", dropna=False)
    ]
    return pd.concat(parts).loc[table.index] if len(parts) > 1 else parts[0]


def _dialect(table: pd.DataFrame) -> str:
    """The table's dialect, "generic" where it has none or several."""
    names = table["dialect"].unique().tolist() if "dialect" in table.columns else []
    return str(names[0]) if len(names) == 1 and names[0] in DIALECTS else "generic"


def _rows(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Rows returned; drivers write -1 for "not known"."""
    if "rows" not in table.columns:
        found = np.full(len(table), np.nan)
    else:
        found = table["rows"].astype("Float64").to_numpy(dtype="float64", na_value=np.nan)
    if "plan_rows" in table.columns:
        planned = table["plan_rows"].astype("Float64").to_numpy(dtype="float64", na_value=np.nan)
        found = np.where(np.isnan(found), planned, found)
    return np.where(found < 0, np.nan, found)


def _routes(table: pd.DataFrame, units: Ints) -> pd.Series[str]:
    """The route of each statement's unit: the first that any of its statements names, in a column or in a comment."""
    routes = (
        table["route"] if "route" in table.columns and table["route"].notna().any() else comments.routes(table["sql"])
    )
    if routes is None:
        return pd.Series("", index=table.index, dtype="str")
    first = routes.groupby(units).first()
    return pd.Series(first.reindex(units).array, index=table.index, dtype="str").fillna("")
