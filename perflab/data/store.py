"""Runs kept as folders: ``run.json`` beside a Parquet file for each table.

    runs/
      20261124-014503-eager-7f3a/     a run: its id is the folder's name
        run.json                      id, arm, pair, plan, target, provenance, validity; written last
        requests.parquet  load.parquet  resources.parquet  queries.parquet  ...
        logs/                         what Locust and the target printed
      .20261124-014812-eager-91bc/    unfinished: never taken for a run

A folder becomes a run by a rename, when everything in it is written: half a run cannot be loaded.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from perflab.data.schemas import SCHEMAS, conform
from perflab.data.tables import Measurements
from perflab.errors import StoreError
from perflab.notes import DATA, Kind, Note, notes_of

UNFINISHED = Kind(
    "unfinished-runs",
    DATA,
    "{place:raw}: left out {unfinished:unfinished run}; delete {place:raw}/.2* once no run is in progress",
)
SCHEMA_VERSION = 1
_RECORD = "run.json"
_AS_JSON = frozenset({"parameters", "labels", "attributes"})
"""Columns of lists and mappings of anything: kept as JSON texts."""


class Draft:
    """A run that is being written: a hidden folder that `keep` turns into a run, or `drop` removes."""

    def __init__(self, store: str | Path, arm: str) -> None:
        self.store = Path(store)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        slug = re.sub(r"[^a-z0-9]+", "-", arm.lower()).strip("-")[:24] or "run"
        self.run = f"{stamp}-{slug}-{secrets.token_hex(2)}"
        self.folder = self.store / f".{self.run}"
        self._writers: dict[str, Any] = {}
        try:
            (self.folder / "logs").mkdir(parents=True)
        except OSError as problem:
            raise StoreError(f"{self.store}: cannot keep runs here: {problem.strerror}") from problem

    def write(self, table: str, frame: pd.DataFrame) -> None:
        """Keep a table of the run (``run`` is the folder's name and is not stored in it)."""
        try:
            self._conformed(table, frame).to_parquet(self.folder / f"{table}.parquet", compression="zstd")
        except OSError as problem:
            raise StoreError(
                f"{self.folder / table}.parquet: cannot be written: {problem.strerror or problem}"
            ) from problem

    def append(self, table: str, frame: pd.DataFrame) -> None:
        """Add rows to a table of the run; the first rows decide its columns. `keep` closes it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = self._conformed(table, frame)
        writer = self._writers.get(table)
        try:
            arrow = pa.Table.from_pandas(rows, schema=writer.schema if writer else None, preserve_index=False)
            if writer is None:
                writer = pq.ParquetWriter(self.folder / f"{table}.parquet", arrow.schema, compression="zstd")
                self._writers[table] = writer
            writer.write_table(arrow)
        except (OSError, pa.ArrowException, KeyError) as problem:
            raise StoreError(f"{self.folder / table}.parquet: cannot be written: {problem}") from problem

    def _conformed(self, table: str, frame: pd.DataFrame) -> pd.DataFrame:
        conformed = conform(table, frame.assign(run=self.run)).drop(columns="run")
        for column in _AS_JSON & set(conformed.columns):
            conformed[column] = [_json(value) for value in conformed[column]]
        return conformed

    def keep(self, record: Mapping[str, Any]) -> Path:
        """Write ``run.json``, then let the folder be a run; returns its path."""
        place = self.store / self.run
        self._close()
        try:
            data = orjson.dumps(
                {"schema_version": SCHEMA_VERSION, "run": self.run, **record},
                option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS,
                default=_kept,
            )
            with (self.folder / _RECORD).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self.folder.rename(place)
        except OSError as problem:
            raise StoreError(f"{place}: the run cannot be kept: {problem.strerror}") from problem
        return place

    def drop(self) -> None:
        """Remove what was written."""
        self._close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _close(self) -> None:
        while self._writers:
            self._writers.popitem()[1].close()


def holds_runs(path: Path) -> bool:
    """Whether the folder is a run, or holds runs."""
    return (path / _RECORD).is_file() or any(True for _ in path.glob(f"*/{_RECORD}"))


def load(path: str | Path = "runs", **only: object) -> Measurements:
    """The runs that a store holds, or the one run of a run's folder.

    Parameters
    ----------
    path : the store's folder (``"runs"`` is where `run` and `run_pairs` keep theirs), or one run's folder.
    **only : keep the runs with these values in the ``runs`` table, e.g. ``arm="eager"``, ``experiment="..."``.

    Returns
    -------
    Measurements with every table that any of the runs has. Folders without a ``run.json`` (a run that was
    killed while it was written) are left out and counted in ``warnings``.

    >>> import perflab as lab
    >>> lab.load("datasets/shop_runs").runs.arm.value_counts(sort=False).to_dict()
    {'eager': 6, 'n+1': 6}
    """
    place = Path(path)
    folders = [place] if (place / _RECORD).is_file() else sorted(f.parent for f in place.glob(f"*/{_RECORD}"))
    folders = [f for f in folders if not f.name.startswith(".")]
    if not folders:
        found = "none" if place.is_dir() else "no such folder"
        where = "" if place.is_absolute() else f" in {Path.cwd()}"  # a notebook runs in its own folder
        raise StoreError(f"{place}: expected a folder with runs in it, found {found}{where}")
    records = [_record(folder) for folder in folders]
    runs = pd.DataFrame.from_records([_row(record) for record in records])
    wanted = Measurements.of(runs=runs).where(**only).runs["run"] if only else runs["run"]
    chosen = [f for f in folders if f.name in set(wanted)]
    tables = {t: f for t in SCHEMAS if (f := _table(t, chosen)) is not None}
    unfinished = [] if place in folders else [f for f in place.glob(".*-*-*") if f.is_dir()]
    notes = [_of_run(r["run"], note) for r in records if r["run"] in set(wanted) for note in r.get("warnings") or ()]
    leftovers = [UNFINISHED(place=str(place), unfinished=len(unfinished))]
    return Measurements.of(
        meta={"store": str(place)},
        warnings=notes + (leftovers if unfinished else []),
        runs=runs[runs["run"].isin(wanted)],
        **tables,
    )


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = orjson.loads((folder / _RECORD).read_bytes())
    except (OSError, orjson.JSONDecodeError) as problem:
        raise StoreError(f"{folder / _RECORD}: expected the record of a run: {problem}") from problem
    version = record.get("schema_version")
    if version != SCHEMA_VERSION:
        raise StoreError(f"{folder / _RECORD}: expected schema_version {SCHEMA_VERSION}, found {version!r}")
    return {**record, "run": folder.name}


def _row(record: dict[str, Any]) -> dict[str, Any]:
    columns = {c: record.get(c) for c in (*SCHEMAS["runs"].required, *SCHEMAS["runs"].optional)}
    start, reasons = record.get("start"), notes_of(record.get("reasons") or ())
    return columns | {
        "start": pd.Timestamp(start) if start else pd.NaT,
        "reasons": [str(note) for note in reasons],
        "reason_codes": [note.code for note in reasons],
    }


def _kept(value: object) -> object:
    """What JSON has no word for: notes with their codes and facts, all else as text."""
    return value.to_json() if isinstance(value, Note) else str(value)


def _of_run(run: str, kept: object) -> Note:
    """A warning that a run keeps, with the run's name in front."""
    note = Note.from_json(kept)
    return replace(note, facts={**note.facts, "run": run, "text": str(note)}, template="{run:raw}: {text:raw}")


def _json(value: object) -> str | None:
    return None if value is None or value != value else orjson.dumps(value, default=str).decode()


def _table(table: str, folders: list[Path]) -> pd.DataFrame | None:
    files = [str(f / f"{table}.parquet") for f in folders if (f / f"{table}.parquet").is_file()]
    if not files:
        return None
    import duckdb

    try:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            relation = connection.sql(
                "SELECT parse_path(parse_dirpath(filename))[-1] AS run, * EXCLUDE (filename) "
                "FROM read_parquet($files, union_by_name = true, filename = true)",
                params={"files": files},
            )
            frame = relation.to_arrow_table().to_pandas()
    except duckdb.Error as problem:
        raise StoreError(f"{table}.parquet of {len(files)} runs cannot be read: {problem}") from problem
    for column in _AS_JSON & set(frame.columns):
        frame[column] = pd.Series(
            [orjson.loads(v) if isinstance(v, str) else None for v in frame[column]], dtype=object
        )
    return frame
