"""The tables of stored runs, opened on demand: a run is read when a step asks for it, and is not kept.

A mapping from table to DataFrame like that of runs in memory, so `Measurements` are used in the same way; work that goes
run by run (`Measurements.each`) needs the memory of one run, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.joining import STORED, UNREADABLE, first_line, footer, frame_of_run, some_columns, tables_of
from perflab.data.schemas import conform, empty
from perflab.errors import StoreError

Step = Callable[[str, pd.DataFrame, pd.DataFrame, Callable[[], pd.DataFrame]], pd.DataFrame]
"""A change to a table (by name) of some runs, given their rows of ``runs`` and a function that returns their requests as they
were before it."""
_FOR_STATISTICS = ("endpoint", "start", "latency_ms", "ok", "size_bytes")
_TEXTS = ("endpoint", "user")
_BATCH = 1 << 18


@dataclass(frozen=True)
class StoredRun:
    """One run in its folder: the number of rows of each of its tables, and its row of ``runs``."""

    name: str
    folder: Path
    rows: Mapping[str, int]
    row: pd.DataFrame
    steps: tuple[Step, ...] = ()

    def table(self, table: str) -> pd.DataFrame:
        """A table of the run; StoreError where it is damaged."""
        if table not in self.rows:
            return empty(table)
        frames, damaged = tables_of({self.name: {"folder": self.folder}}, self.folder.parent, (table,))
        if damaged:
            raise _damaged(self.name, damaged[0].facts["problem"])
        if table not in frames:
            raise _gone(self, table)
        found = frames[table]
        for done, step in enumerate(self.steps):
            before = replace(self, steps=self.steps[:done])
            found = step(table, found, self.row, partial(before.table, "requests"))
        return found

    def requests(self, *columns: str) -> pd.DataFrame:
        """Columns of the requests, by default those that statistics need, with texts as categories."""
        if self.steps or "requests" not in self.rows:
            return self.table("requests")
        needed = tuple(dict.fromkeys((*_FOR_STATISTICS, *columns)))
        try:
            found = some_columns(self.folder / "requests.parquet", needed, _TEXTS)
            name = pd.Categorical.from_codes(np.zeros(len(found), dtype="int8"), [self.name])
            return conform("requests", found.assign(run=name), coded=("run", *_TEXTS))
        except UNREADABLE as problem:
            raise _damaged(self.name, f"requests.parquet: {first_line(problem)}") from problem

    def batches(self, table: str, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Columns of a table, as far as it has them, a quarter of a million rows at a time; all at once after steps."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.steps or table not in self.rows:
            yield self.table(table)
            return
        try:
            with (self.folder / f"{table}.parquet").open("rb") as source:
                file = pq.ParquetFile(source)
                held = [column for column in columns if column in file.schema_arrow.names]
                for batch in file.iter_batches(_BATCH, columns=held):
                    yield frame_of_run(table, self.name, pa.Table.from_batches([batch]))
        except UNREADABLE as problem:
            raise _damaged(self.name, f"{table}.parquet: {first_line(problem)}") from problem


def _damaged(run: str, problem: object) -> StoreError:
    return StoreError(f"{run}: cannot be read ({problem}); leave it out with .where(run=[...])")


def _gone(run: StoredRun, table: str) -> StoreError:
    """That a table was deleted after the store was opened."""
    return _damaged(run.name, f"{table}.parquet: it was deleted")


class OfOneRun(Mapping[str, pd.DataFrame]):
    """The tables of one stored run, each read once and kept."""

    def __init__(self, run: StoredRun, names: Iterable[str], **held: pd.DataFrame) -> None:
        self._run, self._names = run, tuple(names)
        self._held: dict[str, pd.DataFrame] = {"runs": run.row, **held}

    def __iter__(self) -> Iterator[str]:
        return iter(("runs", *self._names))

    def __len__(self) -> int:
        return 1 + len(self._names)

    def __contains__(self, table: object) -> bool:
        return table == "runs" or table in self._names

    def __getitem__(self, table: str) -> pd.DataFrame:
        if table not in self:
            raise KeyError(table)
        if table not in self._held:
            self._held[table] = self._run.table(table)
        return self._held[table]


class StoredTables(Mapping[str, pd.DataFrame]):
    """The tables of several stored runs by name; a table of all of them together is read anew whenever it is asked for."""

    def __init__(
        self,
        runs: pd.DataFrame,
        stored: Mapping[str, StoredRun],
        names: tuple[str, ...],
        executor: Executor | None = None,
    ) -> None:
        self.runs, self.stored, self.names, self.executor = runs, dict(stored), names, executor
        self._counts: dict[str, pd.Series[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "executor": None}

    def __iter__(self) -> Iterator[str]:
        return iter(("runs", *self.names))

    def __len__(self) -> int:
        return 1 + len(self.names)

    def __contains__(self, table: object) -> bool:
        return table == "runs" or table in self.names

    def __getitem__(self, table: str) -> pd.DataFrame:
        if table == "runs":
            return self.runs
        if table not in self.names:
            raise KeyError(table)
        held = {name: run for name, run in self.stored.items() if table in run.rows}
        if not held:
            return empty(table)
        if any(run.steps for run in held.values()):
            return conform(table, pd.concat([run.table(table) for run in held.values()], ignore_index=True))
        for run in held.values():
            if not (run.folder / f"{table}.parquet").exists():
                raise _gone(run, table)
        folders = {name: {"folder": run.folder} for name, run in held.items()}
        frames, damaged = tables_of(folders, next(iter(held.values())).folder.parent, (table,))
        if damaged:
            raise _damaged(str(damaged[0].facts["run"]), damaged[0].facts["problem"])
        return frames[table]

    def each(self) -> Iterator[tuple[str, OfOneRun]]:
        """The tables of each run."""
        for name, run in self.stored.items():
            yield name, OfOneRun(run, self.names)

    def row_counts(self, table: str) -> pd.Series[Any]:
        """How many rows a table has in each run, as a rule without reading it."""
        if table not in self._counts:
            counted = {
                name: len(run.table(table)) if run.steps else run.rows.get(table, 0)
                for name, run in self.stored.items()
            }
            self._counts[table] = pd.Series(counted, dtype="int64")
        return self._counts[table]

    def only(self, names: Iterable[str]) -> StoredTables:
        """The tables of these runs."""
        wanted = set(names)
        runs = self.runs[self.runs["run"].isin(wanted)].reset_index(drop=True)
        held = {name: run for name, run in self.stored.items() if name in wanted}
        return StoredTables(runs, held, self.names, self.executor)

    def changed(self, step: Step) -> StoredTables:
        """The tables with this step after those that there are."""
        held = {name: replace(run, steps=(*run.steps, step)) for name, run in self.stored.items()}
        return StoredTables(self.runs, held, self.names, self.executor)

    def using(self, executor: Executor | None) -> StoredTables:
        """The tables, with the work on each run done by an executor."""
        return StoredTables(self.runs, self.stored, self.names, executor)

    def joined(self, other: StoredTables, runs: pd.DataFrame) -> StoredTables:
        """The tables of both; ``runs`` is their joined table of runs."""
        names = tuple(dict.fromkeys((*self.names, *other.names)))
        return StoredTables(runs, {**self.stored, **other.stored}, names, self.executor or other.executor)


def rows_of(folder: Path) -> dict[str, int]:
    """The number of rows of each table in a run's folder, from the footers of its files."""
    files = {table: folder / f"{table}.parquet" for table in STORED}
    return {table: footer(file).num_rows for table, file in files.items() if file.exists()}


def size_of(records: Mapping[str, Mapping[str, Any]]) -> int:
    """The size of the tables of these runs."""
    files = (record["folder"] / f"{table}.parquet" for record in records.values() for table in STORED)
    return sum(file.stat().st_size for file in files if file.exists())


def opened(
    runs: pd.DataFrame, records: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Mapping[str, int]]
) -> StoredTables:
    """The tables of these runs, to be read on demand."""
    stored = {
        run: StoredRun(run, records[run]["folder"], rows[run], runs.iloc[[place]].reset_index(drop=True))
        for place, run in enumerate(runs["run"])
    }
    return StoredTables(runs, stored, tuple(dict.fromkeys(table for own in stored.values() for table in own.rows)))
