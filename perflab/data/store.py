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
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from perflab.data import listed_texts
from perflab.data.joining import AS_JSON, DAMAGED, UNREADABLE, first_line, tables_of
from perflab.data.places import RemotePath, each, place_of
from perflab.data.schemas import SCHEMAS, conform
from perflab.data.store_notes import NEWER, unfinished
from perflab.data.stored_runs import opened, rows_of, size_of
from perflab.data.tables import Measurements
from perflab.errors import StoreError
from perflab.notes import Note, notes_of
from perflab.units import parse_duration, parse_fraction

SCHEMA_VERSION = 1
RECORD, _LOCK = "run.json", ".lock"


class Draft:
    """A run that is being written: a hidden folder that `keep` turns into a run, or `drop` removes.

    A run for an object store is written to a folder of this machine, and `sent` when it is kept.
    """

    def __init__(self, store: str | Path, arm: str) -> None:
        place = place_of(store)
        self.remote = place if isinstance(place, RemotePath) else None
        self.store = Path(tempfile.mkdtemp(prefix="perflab-runs-")) if self.remote else place
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
        draft.remote = None
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
            if (
                writer is None and pa.null() in arrow.schema.types
            ):  # nothing known so far of texts that later rows may have
                arrow = arrow.cast(
                    pa.schema([f.with_type(pa.string()) if f.type == pa.null() else f for f in arrow.schema])
                )
            if writer is None:
                writer = pq.ParquetWriter(self.folder / f"{table}.parquet", arrow.schema, compression="zstd")
                self._writers[table] = writer
            writer.write_table(arrow)
        except (OSError, pa.ArrowException, KeyError) as problem:
            raise StoreError(f"{self.folder / table}.parquet: cannot be written: {problem}") from problem

    def _conformed(self, table: str, frame: pd.DataFrame) -> pd.DataFrame:
        conformed = conform(table, frame.assign(run=self.run)).drop(columns="run")
        for column in AS_JSON & set(conformed.columns):
            values = conformed[column].array
            if (texts := listed_texts.as_json(values)) is not None:
                conformed[column] = texts
                continue
            # One value after another of an Arrow array costs as much as the text that is made of it.
            listed = values.__arrow_array__().to_pylist() if hasattr(values, "__arrow_array__") else list(values)
            conformed[column] = [_json(value) for value in listed]
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
            with (self.folder / RECORD).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            (self.folder / _LOCK).unlink(missing_ok=True)
            self.folder.rename(place)
        except OSError as problem:
            raise StoreError(f"{place}: the run cannot be kept: {problem.strerror}") from problem
        self.release()
        return place

    def sent(self, place: Path, *, record: bool = True) -> Any:
        """The place of a kept run in its store. For an object store it is uploaded, ``run.json`` last, and removed here.

        Without ``record`` all but ``run.json`` is. StoreError if that fails: the run is complete in the folder of this machine.
        """
        if self.remote is None:
            return place
        found = self.remote / self.run
        try:
            files = (f for f in place.rglob("*") if f.is_file() and (record or f != place / RECORD))
            for file in sorted(files, key=lambda f: (f == place / RECORD, f)):
                found.at(file.relative_to(place)).upload(file)
        except OSError as problem:
            raise StoreError(f"{found}: the upload failed ({problem}); the run is complete in {place}") from problem
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"interrupted during the upload; the run is complete in {place}") from None
        shutil.rmtree(self.store, ignore_errors=True)
        return found

    def drop(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            self._finish()
        self.release()
        shutil.rmtree(self.store if self.remote else self.folder, ignore_errors=True)

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
    return (path / RECORD).is_file() or any(True for _ in path.glob(f"*/{RECORD}"))


def load(path: str | Path = "runs", *, lazy: bool | None = None, **only: object) -> Measurements:
    """Load the runs of a store, or one run.

    Parameters
    ----------
    path : str or Path
        The store's folder (by default ``"runs"``, as in `run` and `run_pairs`), an address in an object store such as
        ``"s3://bucket/runs"``, or one run's folder.
    lazy : bool, optional
        Open tables only when they are needed, run by run, so that memory depends on a run and not on the store. By default
        stores of 64 MB and more are opened that way.
    **only : object
        Select runs with these values in the ``runs`` table, e.g. ``arm="eager"``, ``experiment="..."``.

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
    place: Any = place_of(path)
    place = place.listed() if isinstance(place, RemotePath) else place
    folders = [place] if (place / RECORD).is_file() else sorted(f.parent for f in place.glob(f"*/{RECORD}"))
    folders = [f for f in folders if not f.name.startswith(".")]
    if not folders:
        found = "none" if place.is_dir() else "no such folder"
        where = "" if place.is_absolute() else f" in {Path.cwd()}"  # a notebook runs in its own folder
        raise StoreError(f"{place}: expected a folder with runs in it, found {found}{where}")
    records, left_out = _records(folders)
    runs = pd.DataFrame.from_records([_row(record) for record in records.values()], columns=_COLUMNS)
    wanted = Measurements.of(runs=runs).where(**only).runs["run"] if only else runs["run"]
    chosen = {run: records[run] for run in wanted}
    lazy = size_of(chosen) >= LAZY_FROM_BYTES if lazy is None else lazy
    rows: dict[str, dict[str, int]] = {}
    tables, damaged = ({}, _counted(chosen, rows)) if lazy else tables_of(chosen, place)
    left_out = [*left_out, *damaged]
    kept = [run for run in wanted if run not in {note.facts["run"] for note in damaged}]
    if not kept and left_out:
        raise StoreError("; ".join(map(str, left_out[:3])) + (f" and {len(left_out) - 3} more" if left_out[3:] else ""))
    left_out += [] if place in folders else unfinished(place)
    notes = [_of_run(run, note) for run in kept for note in records[run].get("warnings") or ()]
    held = Measurements.of(
        meta={"store": str(place)}, warnings=notes + left_out, runs=runs[runs["run"].isin(kept)], **tables
    )
    return replace(held, tables=opened(held.runs, chosen, rows)) if lazy else held


def _counted(records: Mapping[str, Mapping[str, Any]], rows: dict[str, dict[str, int]]) -> list[Note]:
    """Count the rows of each run's tables into ``rows``; a note for each run that has a damaged file."""

    def counted(item: tuple[str, Mapping[str, Any]]) -> Note | None:
        try:
            rows[item[0]] = rows_of(item[1]["folder"])
        except UNREADABLE as problem:
            return DAMAGED(run=item[0], problem=first_line(problem))
        return None

    place = next((record["folder"] for record in records.values()), None)
    return [note for note in each(place, counted, records.items()) if note]


LAZY_FROM_BYTES = 64 << 20
"""To compare tables of this size takes some 1.5 GB if all are in memory, and then it takes longer, too."""
_COLUMNS = (*SCHEMAS["runs"].required, *SCHEMAS["runs"].optional)


def _records(folders: Sequence[Path]) -> tuple[dict[str, dict[str, Any]], list[Note]]:
    """The readable records, by run, and a note for each of the others."""
    found, left_out = dict[str, dict[str, Any]](), list[Note]()
    for folder, record in zip(folders, each(folders[0], _record_or_note, folders), strict=True):
        if isinstance(record, Note):
            left_out.append(record)
        else:
            found[folder.name] = record
    try:
        _conform_rows(found.values())
    except UNREADABLE:  # to check hundreds one by one costs a second
        for run, record in list(found.items()):
            try:
                _conform_rows([record])
            except UNREADABLE as problem:
                del found[run]
                left_out.append(DAMAGED(run=run, problem=f"{RECORD}: {first_line(problem)}"))
    return found, left_out


def _conform_rows(records: Iterable[Mapping[str, Any]]) -> None:
    conform("runs", pd.DataFrame.from_records([_row(record) for record in records], columns=_COLUMNS))


def _record_or_note(folder: Path) -> dict[str, Any] | Note:
    try:
        return _record(folder)
    except UNREADABLE as problem:
        return DAMAGED(run=folder.name, problem=f"{RECORD}: {first_line(problem)}")


def _record(folder: Path) -> dict[str, Any] | Note:
    if not (folder / RECORD).is_file():
        raise OSError("not a file")
    record = orjson.loads((folder / RECORD).read_bytes())
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
    there = folder if folder.is_absolute() else folder.absolute()  # tables may be read from another working directory
    return {**record, "run": folder.name, "folder": there, "plan": _plan(record.get("plan"))}


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
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: object) -> object:
    """Values of a list or mapping for JSON: those of arrays, anything else as text."""
    return value.tolist() if isinstance(value, np.ndarray) else str(value)
