"""Runs stored as folders: ``run.json`` and a Parquet file for each table.

    runs/
      20261124-014503-eager-7f3a/     a run: its id is the folder's name
        run.json                      id, arm, pair, plan, target, provenance, validity; written last
        requests.parquet  load.parquet  resources.parquet  queries.parquet  ...
        logs/                         the output of Locust and the target
      .20261124-014812-eager-91bc/    unfinished: never taken for a run; `recover` makes one from it

A folder becomes a run by a rename when everything in it is written, so half a run cannot be loaded. A damaged run is left
out with a note. Of a folder's name only the name of the run is used.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from perflab.data.joining import AS_JSON, DAMAGED, UNREADABLE, first_line, tables_of
from perflab.data.schemas import SCHEMAS, conform
from perflab.data.tables import Measurements
from perflab.errors import StoreError
from perflab.notes import DATA, Kind, Note, Remedy, notes_of
from perflab.units import parse_duration, parse_fraction

UNFINISHED = Kind(
    "unfinished-runs",
    DATA,
    "{place:raw}: left out {unfinished:unfinished run}; {remedy} makes a run of what one captured, or delete {place:raw}/.2* "
    "once no run is in progress",
)
NEWER = Kind(
    "newer-run",
    DATA,
    "{run:raw}: left out, because a newer perflab wrote it (schema_version {found:raw}; this one reads {known:raw}): upgrade "
    "perflab",
)
SCHEMA_VERSION = 1
_RECORD, _LOCK = "run.json", ".lock"


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
            self._lock = _locked(self.folder)
        except OSError as problem:
            raise StoreError(f"{self.store}: cannot keep runs here: {problem.strerror}") from problem

    @classmethod
    def of(cls, folder: Path) -> Draft:
        """The draft in a hidden folder left behind by an earlier process, or by a failed run of this one."""
        draft = cls.__new__(cls)
        draft.store, draft.run, draft.folder = folder.parent, folder.name.removeprefix("."), folder
        draft._writers = {}
        try:
            draft._lock = _locked(folder)
        except BlockingIOError:
            raise StoreError(f"{folder}: this run is still in progress") from None
        except OSError as problem:
            raise StoreError(f"{folder}: cannot be written: {problem.strerror}") from problem
        return draft

    def write(self, table: str, frame: pd.DataFrame) -> None:
        """Store a table of the run (``run`` is the folder's name and is not stored in it)."""
        try:
            self._conformed(table, frame).to_parquet(self.folder / f"{table}.parquet", compression="zstd")
        except OSError as problem:
            raise StoreError(
                f"{self.folder / table}.parquet: cannot be written: {problem.strerror or problem}"
            ) from problem

    def append(self, table: str, frame: pd.DataFrame) -> None:
        """Append rows to a table of the run; the first rows determine its columns. `keep` closes it."""
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
        for column in AS_JSON & set(conformed.columns):
            conformed[column] = [_json(value) for value in conformed[column]]
        return conformed

    def keep(self, record: Mapping[str, Any]) -> Path:
        """Write ``run.json``, then turn the folder into a run; return its path."""
        place = self.store / self.run
        try:
            self._finish()
            tables = sorted(path.stem for path in self.folder.glob("*.parquet"))
            data = orjson.dumps(
                {"schema_version": SCHEMA_VERSION, "run": self.run, **record, "tables": tables},
                option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS,
                default=_kept,
            )
            with (self.folder / _RECORD).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            (self.folder / _LOCK).unlink(missing_ok=True)
            self.folder.rename(place)
        except OSError as problem:
            raise StoreError(f"{place}: the run cannot be kept: {problem.strerror}") from problem
        self.release()
        return place

    def drop(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            self._finish()
        self.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Leave the folder as it is, for `Draft.of`."""
        self._writers.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _finish(self) -> None:
        while self._writers:
            self._writers.popitem()[1].close()


def _locked(folder: Path) -> int | None:
    """A lock that ends with this process, however it ends; BlockingIOError while another process holds it."""
    descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def holds_runs(path: Path) -> bool:
    """Whether the folder is a run, or contains runs."""
    return (path / _RECORD).is_file() or any(True for _ in path.glob(f"*/{_RECORD}"))


def load(path: str | Path = "runs", **only: object) -> Measurements:
    """Load the runs of a store, or one run.

    Parameters
    ----------
    path : the store's folder (by default ``"runs"``, as in `run` and `run_pairs`), or one run's folder.
    **only : select runs with these values in the ``runs`` table, e.g. ``arm="eager"``, ``experiment="..."``.

    Returns
    -------
    Measurements
        Every table that any of the runs has. Folders without a ``run.json`` (a run killed while it was written), damaged
        runs, and runs of a newer perflab are left out and named in ``warnings``.

    Raises
    ------
    StoreError
        There is no such folder, no run in it, or none that can be read.

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
    records, left_out = _records(folders)
    runs = pd.DataFrame.from_records([_row(record) for record in records.values()], columns=_COLUMNS)
    wanted = Measurements.of(runs=runs).where(**only).runs["run"] if only else runs["run"]
    tables, damaged = tables_of({run: records[run] for run in wanted}, place)
    left_out = [*left_out, *damaged]
    kept = [run for run in wanted if run not in {note.facts["run"] for note in damaged}]
    if not kept and left_out:
        raise StoreError("; ".join(map(str, left_out[:3])) + (f" and {len(left_out) - 3} more" if left_out[3:] else ""))
    unfinished = [] if place in folders else [f for f in place.glob(".*-*-*") if f.is_dir()]
    notes = [_of_run(run, note) for run in kept for note in records[run].get("warnings") or ()]
    if unfinished:
        remedy = Remedy("recover", given=f'"{unfinished[0]}"')
        left_out.append(UNFINISHED(remedy, place=str(place), unfinished=len(unfinished)))
    return Measurements.of(
        meta={"store": str(place)}, warnings=notes + left_out, runs=runs[runs["run"].isin(kept)], **tables
    )


_COLUMNS = (*SCHEMAS["runs"].required, *SCHEMAS["runs"].optional)


def _records(folders: Sequence[Path]) -> tuple[dict[str, dict[str, Any]], list[Note]]:
    """The readable records, by run, and a note for each of the others."""
    found, left_out = {}, []
    for folder in folders:
        try:
            record = _record(folder)
            if isinstance(record, Note):
                left_out.append(record)
                continue
            conform("runs", pd.DataFrame.from_records([_row(record)], columns=_COLUMNS))
            found[folder.name] = record
        except UNREADABLE as problem:
            left_out.append(DAMAGED(run=folder.name, problem=f"{_RECORD}: {first_line(problem)}"))
    return found, left_out


def _record(folder: Path) -> dict[str, Any] | Note:
    if not (folder / _RECORD).is_file():
        raise OSError("not a file")
    record = orjson.loads((folder / _RECORD).read_bytes())
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, found {type(record).__name__}")
    version = record.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return NEWER(run=folder.name, found=version, known=SCHEMA_VERSION)
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise ValueError(f"expected schema_version {SCHEMA_VERSION}, found {version!r}")
    for name, kinds in _TYPES.items():
        if record.get(name) is not None and not isinstance(record[name], kinds):
            raise ValueError(f"{name}: found {record[name]!r}")
    if not isinstance(record.get("valid"), bool):
        raise ValueError(f"valid: expected true or false, found {record.get('valid')!r}")
    expected = record.get("tables") or (["requests"] if "locust" in record else [])
    if missing := [name for name in expected if not (folder / f"{name}.parquet").is_file()]:
        raise ValueError(f"its tables {', '.join(map(str, missing))} are missing")
    return {**record, "run": folder.name, "folder": folder, "plan": _plan(record.get("plan"))}


_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("arm", "experiment", "host", "start"), (str,)),
    **dict.fromkeys(("reasons", "warnings", "tables"), (list,)),
    **dict.fromkeys(("plan", "environment"), (dict,)),
    **dict.fromkeys(("pair", "order", "duration_ms"), (int, float)),
}


def _plan(plan: dict[str, Any] | None) -> dict[str, Any] | None:
    """The plan, with its warm-up as a fraction if it was written by hand as "10%" or "5s"."""
    if not plan or plan.get("warmup") is None:
        return plan
    warmup = plan["warmup"]
    try:
        share = parse_fraction(warmup, parameter="plan.warmup")
    except ValueError:
        share = parse_duration(warmup, parameter="plan.warmup") / 1e3 / float(plan.get("duration_s") or "nan")
    if not 0 <= share < 1:
        raise ValueError(f"plan.warmup: expected a share of the run like 0.1 or 10%, found {warmup!r}")
    return {**plan, "warmup": share}


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    columns = {c: record.get(c) for c in _COLUMNS}
    start, reasons = record.get("start"), notes_of(record.get("reasons") or ())
    return columns | {
        "start": pd.Timestamp(start) if start else pd.NaT,
        "reasons": [str(note) for note in reasons],
        "reason_codes": [note.code for note in reasons],
    }


def _kept(value: object) -> object:
    """Values for JSON: notes with their codes and facts, anything else as text."""
    return value.to_json() if isinstance(value, Note) else str(value)


def _of_run(run: str, kept: object) -> Note:
    """A stored warning of a run, prefixed with the run's name."""
    note = Note.from_json(kept)
    return replace(note, facts={**note.facts, "run": run, "text": str(note)}, template="{run:raw}: {text:raw}")


def _json(value: object) -> str | None:
    return None if value is None or value != value else orjson.dumps(value, default=str).decode()
