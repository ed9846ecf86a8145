"""Statements ready to be analysed: each with its fingerprint and unit of work, in the order they ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.errors import SchemaError
from perflab.queries.fingerprint import fingerprint
from perflab.queries.shape import Shape, shape
from perflab.queries.units_of_work import units_of_work
from perflab.tables import Measurements

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Statements:
    """``frame`` has run, start, sql, duration_ms, rows, route, parameters and two codes, ``unit`` and ``fp``; it is sorted
    by unit and time. ``units`` are the ids behind the unit codes, ``fingerprints`` and ``shapes`` what ``fp`` points to.
    ``confidence`` tells how the units were found.
    """

    frame: pd.DataFrame
    units: pd.Index[str]
    fingerprints: tuple[str, ...]
    shapes: tuple[Shape, ...]
    confidence: str
    notes: tuple[str, ...]

    def kinds(self) -> npt.NDArray[np.str_]:
        return np.array([s.kind for s in self.shapes], dtype="U16")


def queries_of(queries: pd.DataFrame | Measurements) -> pd.DataFrame:
    """The queries table of measurements, or the table itself, checked."""
    frame = queries.queries if isinstance(queries, Measurements) else queries
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"queries must be a queries table or Measurements; got {type(queries).__name__}")
    missing = [c for c in ("sql", "duration_ms") if c not in frame.columns]
    if missing:
        raise SchemaError("queries", [f"column {c!r} is missing" for c in missing])
    return frame


def statements(queries: pd.DataFrame | Measurements, *, dialect: str | None = None) -> Statements:
    """Fingerprint, group into units of work, and order."""
    table = queries_of(queries)
    known = table["sql"].notna().to_numpy()
    table = table if known.all() else table[known]
    units = units_of_work(table)
    sql = table["sql"]
    prints, texts = pd.factorize(fingerprints_of(table, dialect))
    frame = pd.DataFrame(
        {
            "run": table.get("run", ""),
            "start": table.get("start", pd.NaT),
            "unit": units.codes,
            "fp": prints.astype("int64"),
            "duration_ms": table["duration_ms"].astype("float64"),
            "rows": _rows(table),
            "sql": sql,
            "parameters": table.get("parameters"),
            "route": _routes(table, units.codes),
            "source": table.get("source"),
        }
    ).reset_index(drop=True)
    order = np.lexsort((np.arange(len(frame)), _instants(frame), frame["unit"].to_numpy()))
    frame = frame.iloc[order].reset_index(drop=True)
    return Statements(
        frame=frame,
        units=units.names,
        fingerprints=tuple(map(str, texts)),
        shapes=tuple(shape(str(text)) for text in texts),
        confidence=units.confidence,
        notes=units.notes,
    )


def fingerprints_of(table: pd.DataFrame, dialect: str | None = None) -> pd.Series[str]:
    """The fingerprint of each statement, by the given dialect or the table's own ``dialect`` column."""
    if dialect is not None or "dialect" not in table.columns:
        return fingerprint(table["sql"], dialect or "generic")
    parts = [fingerprint(part["sql"], str(name)) for name, part in table.groupby("dialect", dropna=False)]
    return pd.concat(parts).loc[table.index] if len(parts) > 1 else parts[0]


def _instants(frame: pd.DataFrame) -> Ints:
    if frame["start"].isna().all():
        return np.zeros(len(frame), dtype="int64")
    instants: Ints = frame["start"].astype("datetime64[us, UTC]").astype("int64").to_numpy()
    return instants


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
    """The route of each statement's unit: the first that any of its statements names."""
    if "route" not in table.columns or table["route"].isna().all():
        return pd.Series("", index=table.index, dtype="str")
    first = table["route"].groupby(units).first()
    return pd.Series(first.reindex(units).array, index=table.index, dtype="str").fillna("")


def frame_counts(statements: Statements) -> Mapping[str, int]:
    """How many statements and units there are, for sentences."""
    return {"statements": len(statements.frame), "units": int(statements.frame["unit"].nunique())}
