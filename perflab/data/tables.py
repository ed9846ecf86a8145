"""`Measurements`: the tables of one or more runs (see `perflab.data.schemas`), and their source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data import exports
from perflab.data.schemas import conform
from perflab.data.stored_runs import Step, StoredTables
from perflab.errors import MissingTableError
from perflab.notes import PYTHON, Note, notes_of, written
from perflab.results import Result, Shown

AGGREGATED = "Aggregated"
"""The endpoint for all requests of a run together (Locust's term)."""


def of_run(frame: pd.DataFrame, values: pd.Series[Any]) -> pd.Series[Any]:
    """For each row the value of its run (``values`` is indexed by run), whether runs are texts or categories.

    With categories a million rows cost an integer look-up.
    """
    run = frame["run"]
    if not isinstance(run.dtype, pd.CategoricalDtype):
        return run.map(values)
    by_code = values.reindex(run.cat.categories).array
    return pd.Series(by_code.take(run.cat.codes.to_numpy(), allow_fill=True), index=frame.index)


def columns_of(frame: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Some columns of a table, to be read only: without the copy that pandas makes for ``frame[names]``."""
    return pd.DataFrame({name: frame[name].array for name in names}, index=frame.index, copy=False)


class _Table:
    """An attribute of `Measurements` for one of its tables."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, measurements: Measurements | None, owner: type) -> pd.DataFrame:
        if measurements is None:
            return self
        if self.name not in measurements.tables:
            raise MissingTableError(_what_instead(self.name, measurements))
        return measurements.tables[self.name]


def _what_instead(name: str, measurements: Measurements) -> str:
    held = ", ".join(f"{t} ({measurements.length(t):,} rows)" for t in measurements.tables) or "nothing"
    text = f"these measurements have no table {name!r}; they hold: {held}"
    if name == "requests" and "summary" in measurements.tables:
        text += (
            ". The tool that wrote them reports percentiles only: those can be shown, but neither averaged nor "
            "compared by a test. Have it write every request (raw results) instead"
        )
    if name == "vitals":
        text += ". `run_pages` measures pages in a browser"
    return text


@dataclass(frozen=True, repr=False, eq=False)
class Measurements(Result):
    """The evidence of one or more runs: tables, their source, and what to be careful about.

    Parameters
    ----------
    tables : mapping of table name to DataFrame
        Tables that conform to their schemas; `Measurements.of` takes raw frames and conforms them.
    meta : mapping
        The source of the evidence (source, tool, versions, store).
    warnings : tuple of Note (texts become notes)
        What users must know, and what to do about it.

    Each table is an attribute (``.requests``, ``.runs``, ``.queries``, ...); a missing one raises `MissingTableError`,
    which lists those present. ``a + b`` holds the runs of both.

    >>> frame = pd.DataFrame({"run": ["a"], "endpoint": ["GET /"], "latency_ms": [12.5], "ok": [True],
    ...                       "start": pd.to_datetime(["2026-01-01T00:00:00Z"])})
    >>> Measurements.of(requests=frame).requests.latency_ms.item()
    12.5
    """

    tables: Mapping[str, pd.DataFrame]
    meta: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Note, ...] = ()

    runs = _Table()
    requests = _Table()
    summary = _Table()
    queries = _Table()
    profile = _Table()
    calls = _Table()
    resources = _Table()
    load = _Table()
    checks = _Table()
    metrics = _Table()
    spans = _Table()
    components = _Table()
    exchanges = _Table()
    vitals = _Table()
    advice = _Table()
    modules = _Table()

    @classmethod
    def of(
        cls, *, meta: Mapping[str, Any] | None = None, warnings: Iterable[object] = (), **tables: pd.DataFrame
    ) -> Measurements:
        """Conform raw frames, and add a ``runs`` table if there is none."""
        held = {name: conform(name, frame) for name, frame in tables.items()}
        if "runs" not in held:
            held = {"runs": _runs_of(held), **held}
        return cls(MappingProxyType(held), MappingProxyType(dict(meta or {})), notes_of(warnings))

    def where(self, **only: object) -> Measurements:
        """Select the runs whose columns in ``runs`` have these values (one, or several in a list).

        ``measurements.where(arm="eager")``, ``where(run=["r1", "r2"])``, ``where(valid=True)``. ValueError if no run has such
        an arm, experiment or name, which is more likely misspelt than empty.
        """
        chosen = pd.Series(True, index=self.runs.index)
        for column, value in only.items():
            if column not in self.runs.columns:
                raise ValueError(f"where() takes a column of runs ({', '.join(self.runs.columns)}); got {column!r}")
            values = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
            named = self.runs[column].isin(list(values)).astype(bool)
            if column in _NAMES and len(self.runs) and not named.any():
                raise ValueError(_no_such_name(self.runs, column, value))
            chosen &= named
        names = self.runs.loc[chosen, "run"]
        if isinstance(self.tables, StoredTables):
            return replace(self, tables=self.tables.only(names))
        kept = {t: f[f["run"].isin(names)].reset_index(drop=True) for t, f in self.tables.items()}
        return Measurements(MappingProxyType(kept), self.meta, self.warnings)

    def __add__(self, other: object) -> Measurements:
        if not isinstance(other, Measurements):
            return NotImplemented
        shared = set(self.runs["run"]) & set(other.runs["run"])
        if shared:
            raise ValueError(
                f"a + b needs different runs; both hold {', '.join(sorted(shared)[:5])}: rename the files, "
                "or ingest() them into a store, which gives each run its own name"
            )
        meta = {k: v for k, v in self.meta.items() if other.meta.get(k) == v}
        warnings = tuple(dict.fromkeys(self.warnings + other.warnings))
        if isinstance(self.tables, StoredTables) and isinstance(other.tables, StoredTables):
            both = self.tables.joined(other.tables, _stack("runs", [self.runs, other.runs]))
            return Measurements(both, MappingProxyType(meta), warnings)
        names = [*self.tables, *(t for t in other.tables if t not in self.tables)]
        joined = {t: _stack(t, [m.tables[t] for m in (self, other) if t in m.tables]) for t in names}
        return Measurements(MappingProxyType(joined), MappingProxyType(meta), warnings)

    def length(self, table: str) -> int:
        """The number of rows of a table, without reading it."""
        if isinstance(self.tables, StoredTables) and table != "runs":
            return int(self.tables.row_counts(table).sum())
        return len(self.tables[table])

    @property
    def lazy(self) -> bool:
        """Whether tables are read on demand, run by run (``load(..., lazy=True)``)."""
        return isinstance(self.tables, StoredTables)

    def each(self) -> Iterator[Measurements]:
        """Each run by itself; of a store that was opened lazily, one is in memory at a time."""
        if isinstance(self.tables, StoredTables):
            for _, tables in self.tables.each():
                yield Measurements(tables, self.meta, self.warnings)
            return
        for run in self.runs["run"]:
            yield self.where(run=run) if len(self.runs) > 1 else self

    def pieces(self) -> Iterable[Measurements]:
        """All runs at once, or those of a store that was opened lazily one by one."""
        return self.each() if self.lazy else (self,)

    def count(self, table: str) -> pd.Series[Any]:
        """How many rows of a table each run has, for the runs that have any; MissingTableError as for the table."""
        if isinstance(self.tables, StoredTables) and table in self.tables:
            counts = self.tables.row_counts(table)
            return counts[counts > 0].rename("count").rename_axis("run")
        return getattr(self, table)["run"].value_counts()

    def changed(self, step: Step) -> Measurements:
        """The same runs with each table changed, lazy tables when they are read.

        ``step`` takes the name of the table, the table, the rows of ``runs``, and a function that returns the requests of these
        runs as they were before the step.
        """
        if isinstance(self.tables, StoredTables):
            return replace(self, tables=self.tables.changed(step))
        found = {
            name: frame if name == "runs" else step(name, frame, self.runs, lambda: self.requests)
            for name, frame in self.tables.items()
        }
        return replace(self, tables=MappingProxyType(found))

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only view of a dict cannot be sent to a worker process.
        tables = self.tables if self.lazy else dict(self.tables)
        return _restored, (tables, dict(self.meta), self.warnings)

    def __radd__(self, other: object) -> Measurements:
        return self if other == 0 else NotImplemented

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("Measurements are not a sequence: use .runs for the list of runs, .requests for the raw rows")

    def to_parquet(self, folder: str | Path) -> list[Path]:
        """Write each table as a Parquet file to a folder; return the files."""
        return exports.to_parquet(self.tables, folder)

    def to_csv(self, folder: str | Path) -> list[Path]:
        """Write each table as a CSV file to a folder; return the files.

        Instants are ISO 8601 in UTC, lists and mappings JSON. Texts that a spreadsheet would run as a formula are prefixed with
        an apostrophe: names and errors come from outside.
        """
        return exports.to_csv(self.tables, folder)

    @property
    def sentence(self) -> str:
        """A summary in one line."""
        runs = self.runs
        arms = runs["arm"].dropna().value_counts(sort=False)
        parts = [f"{len(runs):,} run{'s' if len(runs) != 1 else ''}"]
        if len(arms):
            parts[0] += " (" + ", ".join(f"{arm}: {count}" for arm, count in arms.items()) + ")"
        parts += [f"{self.length(t):,} {t}" for t in self.tables if t not in ("runs", "resources", "load")]
        invalid = int((~runs["valid"].astype(bool)).sum())
        if invalid:
            parts.append(f"{invalid} of the runs NOT valid")
        return ", ".join(parts)

    def show(self, surface: str = PYTHON) -> Shown:
        """The summary, the runs, and the warnings."""
        return Shown(self.sentence, self._overview(), written(self.warnings, surface), ours=True, max_rows=20)

    def _overview(self) -> pd.DataFrame:
        shown = [
            c for c in ("run", "arm", "pair", "start", "duration_ms", "valid", "reasons") if c in self.runs.columns
        ]
        overview = self.runs[shown].dropna(axis="columns", how="all") if len(self.runs) else self.runs[shown]
        overview = overview.assign(
            duration_ms=overview["duration_ms"].where(overview["duration_ms"] > 0)
        )  # else unknown
        if "requests" in self.tables:
            counts = self.count("requests")
            overview = overview.assign(requests=overview["run"].map(counts).fillna(0).astype("int64"))
        if "checks" in self.tables:
            passed = pd.concat([one.checks.groupby("run")["ok"].mean() for one in self.pieces()])
            overview = overview.assign(checks_passed_fraction=overview["run"].map(passed))
        if "reasons" in overview and not overview["reasons"].map(len).any():
            overview = overview.drop(columns="reasons")
        return overview


def _restored(tables: Mapping[str, pd.DataFrame], meta: dict[str, Any], warnings: tuple[Note, ...]) -> Measurements:
    held = MappingProxyType(tables) if isinstance(tables, dict) else tables
    return Measurements(held, MappingProxyType(meta), warnings)


_NAMES = ("arm", "experiment", "run")


def _no_such_name(runs: pd.DataFrame, column: str, value: object) -> str:
    """The message: the requested name, and the existing ones."""
    names = [repr(name) for name in pd.unique(runs[column].dropna())]
    there = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "none"
    return f"no run has {column}={value!r}; there is {there}"


def _stack(table: str, frames: list[pd.DataFrame]) -> pd.DataFrame:
    return frames[0] if len(frames) == 1 else conform(table, pd.concat(frames, ignore_index=True))


_UNKNOWN_BEFORE = pd.Timestamp("1971-01-01", tz="UTC")


def _timed(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """The rows with known times, and all rows of runs without any: a log may have times for some statements only."""
    timed: npt.NDArray[np.bool_] = (frame["start"] >= _UNKNOWN_BEFORE).to_numpy()
    if timed.all() or not timed.any():
        return np.ones(len(frame), dtype="bool")
    without: npt.NDArray[np.bool_] = ~frame["run"].isin(frame.loc[timed, "run"].unique()).to_numpy(dtype="bool")
    return timed | without


def _spans(codes: npt.NDArray[np.intp], start: pd.Series[Any], took_ms: pd.Series[Any]) -> tuple[Any, Any]:
    """The start of the first and the length in ms of each run, by its code; NaT and NaN for a run without times."""
    begun, known = start.to_numpy("datetime64[us]"), start.notna().to_numpy()
    codes, begun, took_us = codes[known], begun[known].astype("int64"), took_ms.to_numpy("float64")[known] * 1e3
    size = int(codes.max(initial=-1)) + 1
    first = np.full(size, np.iinfo("int64").max)
    np.minimum.at(first, codes, begun)
    longest = np.full(size, np.nan)
    np.fmax.at(longest, codes, (begun - first[codes]) + took_us)
    begins = np.where(first == np.iinfo("int64").max, np.datetime64("NaT"), first.view("datetime64[us]"))
    return begins, np.round(longest * 1e3) / 1e9 * 1e3  # nanoseconds, as pandas has them


def _coded(run: pd.Series[Any]) -> tuple[npt.NDArray[np.intp], pd.Index[Any]]:
    """Each row's place among the runs that are named, and those; of one run, without hashing its name a million times."""
    if len(run) and bool((run == run.iloc[0]).all()):
        return np.zeros(len(run), dtype="intp"), pd.Index(run.iloc[:1])
    codes, names = pd.factorize(run)
    return codes, pd.Index(names)


def _runs_of(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row for each run that any table names, with its span from the requests (or queries) if there are any."""
    coded = {table: _coded(frame["run"]) for table, frame in tables.items()}
    names = list(dict.fromkeys(name for _, own in coded.values() for name in own))
    runs = pd.DataFrame(
        {"arm": None, "start": pd.Series(dtype="datetime64[us, UTC]"), "duration_ms": 0.0, "valid": True},
        index=pd.Index(pd.array(names, dtype="str"), name="run"),
    ).assign(duration_ms=0.0, valid=True)
    for table, took in (("queries", "duration_ms"), ("requests", "latency_ms")):
        if table in tables and len(tables[table]):
            frame, (codes, own) = tables[table], coded[table]
            timed = _timed(frame)
            first, length = _spans(codes[timed], frame.loc[timed, "start"], frame.loc[timed, took])
            found = own[: len(first)]
            runs.loc[found, "start"] = pd.to_datetime(first, utc=True)
            runs.loc[found, "duration_ms"] = length
    if "requests" in tables:
        codes, own = coded["requests"]
        for column in ("arm", "pair"):
            if column in tables["requests"].columns:
                runs[column] = tables["requests"].groupby(codes)[column].first().set_axis(own)
    runs["start"] = runs["start"].where(runs["start"] >= _UNKNOWN_BEFORE)
    runs["duration_ms"] = runs["duration_ms"].where(runs["duration_ms"] < 1e12, 0.0)  # a clock that was wrong at first
    return conform("runs", runs.reset_index())
