"""Converts the generator's record files to tables, outside the generator: streamed, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from perflab.caching.cache_headers import HIT, UNKNOWN
from perflab.errors import LoadTestError
from perflab.loadtest.histogram import Histogram
from perflab.loadtest.records import CHECK, CHECK_FIELDS, FIELDS, MAX_NAMES, RECORD

DTYPE = np.dtype(list(FIELDS))
CHECK_DTYPE = np.dtype(list(CHECK_FIELDS))
assert (DTYPE.itemsize, CHECK_DTYPE.itemsize) == (RECORD.size, CHECK.size)
_CHUNK = 500_000
_MOST_ENDPOINTS = 100

_SCHEMA = pa.schema(
    [
        ("endpoint", pa.dictionary(pa.int32(), pa.string())),
        ("start", pa.timestamp("us", tz="UTC")),
        ("latency_ms", pa.float64()),
        ("ok", pa.bool_()),
        ("status", pa.int64()),
        ("error", pa.dictionary(pa.int32(), pa.string())),
        ("size_bytes", pa.int64()),
        ("user", pa.string()),
        ("due", pa.timestamp("us", tz="UTC")),
        ("request", pa.string()),
    ]
)

_CACHED = _SCHEMA.append(pa.field("cached", pa.bool_()))
"""With the column of caches, where any response named one."""

_CHECKS = pa.schema(
    [
        ("start", pa.timestamp("us", tz="UTC")),
        ("name", pa.dictionary(pa.int32(), pa.string())),
        ("ok", pa.bool_()),
        ("endpoint", pa.dictionary(pa.int32(), pa.string())),
    ]
)


@dataclass(frozen=True)
class Process:
    """The files of one process of the generator.

    ``notes`` by kind, as `records` describes them; ``footer`` is None for a process that was lost. ``torn_bytes`` is what
    follows the last whole record.
    """

    name: str
    records: Path
    count: int
    torn_bytes: int
    notes: dict[str, list[dict[str, Any]]]

    @property
    def role(self) -> str:
        return self.name.partition("-")[0]

    @property
    def clock_ahead_s(self) -> float:
        """How far the master's clock is ahead of this process's; 0 on the same machine."""
        return float(self.notes["process"][-1].get("clock_ahead_s") or 0.0) if self.notes.get("process") else 0.0

    @property
    def before(self) -> int:
        """How many of its first records are events of listeners of the load's start."""
        return int(self.notes["start"][0].get("before") or 0) if self.notes.get("start") else 0

    @property
    def stop_s(self) -> float:
        """When its load ended, in seconds since 1970; infinite for a process that was lost before."""
        return max((float(note["time"]) for note in self.notes.get("stop", [])), default=float("inf"))

    @property
    def footer(self) -> dict[str, Any] | None:
        return self.notes["footer"][-1] if self.notes.get("footer") else None


def processes(folder: Path) -> list[Process]:
    """The processes that wrote to a folder, by name."""
    return [process_of(side) for side in sorted(folder.glob("*.jsonl"))]


def process_of(side: Path) -> Process:
    notes: dict[str, list[dict[str, Any]]] = {}
    for line in side.read_bytes().split(b"\n"):
        try:
            note = orjson.loads(line)
        except orjson.JSONDecodeError:
            # The last line of a process that was killed while writing.
            continue
        if not isinstance(note, dict):
            continue
        notes.setdefault(note.pop("kind", "unknown"), []).append(note)
    ahead_s = notes["process"][-1].get("clock_ahead_s") if notes.get("process") else None
    for note in (n for kind in notes.values() for n in kind if ahead_s and "time" in n):
        note["time"] += ahead_s
    records = side.with_suffix(".bin")
    size = records.stat().st_size if records.exists() else 0
    return Process(side.stem, records, size // RECORD.size, size % RECORD.size, notes)


@dataclass(frozen=True)
class Written:
    """What `write_requests` wrote, with what is needed to judge the run.

    ``latency`` in ms (from the due time in an open model), ``lag``, ms from the due time to the actual start (empty in a
    closed model), and the latencies ``by_endpoint``, for the first hundred endpoints, are histograms: a run of any length
    takes the same memory.
    """

    rows: int
    failed: int
    latency: Histogram
    lag: Histogram
    by_endpoint: Mapping[str, Histogram] = field(default_factory=dict)
    late: int = 0
    """Requests outside the plan's time."""
    impossible: int = 0
    """Events with a negative or infinite response time."""


def write_requests(found: list[Process], path: Path) -> Written:
    """Convert all records to one Parquet file, chunk by chunk.

    Left out and counted are events without a response time (not requests), with an impossible one, and requests outside
    the plan's time: reported before the load started, or begun after its end.
    """
    rows = failed = late = impossible = 0
    latencies, lags = Histogram(), Histogram()
    by_endpoint: dict[str, Histogram] = {}
    schema = _CACHED if any(process.notes.get("caches") for process in found) else _SCHEMA
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for process in found:
            endpoints = _names(process, "endpoint", "name", first=0)
            errors = _names(process, "error", "text", first=1)
            before = process.before
            for every in _chunks(process.records, DTYPE):
                wrong = (every["latency"] < 0) | np.isinf(every["latency"])
                impossible += int(wrong.sum())
                usual = ~wrong & ~np.isnan(every["latency"])
                late += int(usual[:before].sum())
                usual[:before], before = False, max(0, before - len(every))
                chunk = every[usual]
                chunk["start"] += process.clock_ahead_s
                chunk["due"] += process.clock_ahead_s
                # A due arrival belongs to the plan, even where a worker started its schedule a little later.
                after = np.isnan(chunk["due"]) & (chunk["start"] > process.stop_s)
                late += int(after.sum())
                chunk = chunk[~after]
                lag = (chunk["start"] - chunk["due"]) * 1e3
                # In an open model the client waits from its due time.
                latency = chunk["latency"] + np.maximum(np.nan_to_num(lag), 0.0)
                writer.write_table(_table(chunk, latency, endpoints, errors, schema))
                rows += len(chunk)
                failed += int((chunk["error"] > 0).sum())
                latencies.add(latency)
                lags.add(lag)
                for index in np.unique(chunk["endpoint"]):
                    name = str(endpoints[min(int(index), len(endpoints) - 1)])
                    if name in by_endpoint or len(by_endpoint) < _MOST_ENDPOINTS:
                        by_endpoint.setdefault(name, Histogram()).add(latency[chunk["endpoint"] == index])
    return Written(rows, failed, latencies, lags, by_endpoint, late, impossible)


def write_checks(found: list[Process], path: Path) -> int:
    """Convert the checks of all processes to one Parquet file (none if there are no checks); return their number."""
    files = [(p, p.records.with_suffix(".checks")) for p in found]
    files = [(p, file) for p, file in files if file.exists() and file.stat().st_size >= CHECK.size]
    if not files:
        return 0
    rows = 0
    with pq.ParquetWriter(path, _CHECKS, compression="zstd") as writer:
        for process, file in files:
            names = _names(process, "check", "name", first=0)
            endpoints = _names(process, "endpoint", "name", first=0)
            for chunk in _chunks(file, CHECK_DTYPE):
                columns = [
                    _instants(chunk["at"] + process.clock_ahead_s),
                    _coded(chunk["name"], names),
                    pa.array(chunk["ok"] > 0),
                    _coded(chunk["endpoint"].astype("int64") - 1, endpoints, chunk["endpoint"] == 0),
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=_CHECKS))
                rows += len(chunk)
    return rows


def _chunks(path: Path, dtype: np.dtype[Any]) -> Iterator[np.ndarray[Any, Any]]:
    """The whole records of a file, in chunks."""
    left = path.stat().st_size // dtype.itemsize if path.exists() else 0
    if not left:
        return
    with path.open("rb") as file:
        while left:
            chunk = np.fromfile(file, dtype, count=min(left, _CHUNK))
            left -= len(chunk)
            yield chunk


def _names(process: Process, kind: str, key: str, *, first: int) -> pa.Array:
    """The names by index; the last one, "?", is for a record whose name was not written."""
    limit = MAX_NAMES + 2
    notes = [note for note in process.notes.get(kind, []) if isinstance(note.get("index"), int)]
    by_index = {note["index"]: str(note.get(key, "?")) for note in notes if 0 <= note["index"] < limit}
    known = range(first, max(by_index, default=first - 1) + 1)
    return pa.array([*(by_index.get(i, "?") for i in known), "?"], pa.string())


def _coded(indices: Any, names: pa.Array, mask: Any = None) -> pa.DictionaryArray:
    within = np.minimum(indices.astype("int64"), len(names) - 1).astype("int32")
    return pa.DictionaryArray.from_arrays(pa.array(within, mask=mask), names)


def _table(
    chunk: np.ndarray[Any, Any],
    latency: np.ndarray[Any, Any],
    endpoints: pa.Array,
    errors: pa.Array,
    schema: pa.Schema,
) -> pa.Table:
    failed = chunk["error"] > 0
    columns = [
        _coded(chunk["endpoint"], endpoints),
        _instants(chunk["start"]),
        pa.array(latency),
        pa.array(~failed),
        pa.array(chunk["status"].astype("int64"), mask=chunk["status"] == 0),
        _coded(chunk["error"].astype("int64") - 1, errors, ~failed),
        pa.array(chunk["size"]),
        pa.array(chunk["user"]).cast(pa.string()),
        _instants(chunk["due"]),
        _ids(chunk["request"]),
    ]
    if len(schema) > len(columns):
        columns.append(pa.array(chunk["cache"] == HIT, mask=chunk["cache"] == UNKNOWN))
    return pa.Table.from_arrays(columns, schema=schema)


def _ids(numbers: np.ndarray[Any, Any]) -> pa.Array:
    """The ids as sent, 16 hex digits; null where a request had none."""
    digits = numbers.astype(">u8").tobytes().hex().encode()
    offsets = np.arange(len(numbers) + 1, dtype="int32") * 16
    known = np.packbits(numbers > 0, bitorder="little")
    buffers = [pa.py_buffer(each) for each in (known.tobytes(), offsets.tobytes(), digits)]
    return pa.Array.from_buffers(pa.string(), len(numbers), buffers)


def _instants(seconds: np.ndarray[Any, Any]) -> pa.Array:
    known = np.isfinite(seconds)
    micros = np.round(np.where(known, seconds, 0.0) * 1e6).astype("int64")
    return pa.array(micros, mask=~known).cast(pa.timestamp("us", tz="UTC"))


def load_frame(found: list[Process]) -> pd.DataFrame:
    """The ``load`` table without its run: users over time (in an open model: arrivals in progress), and the rate.

    Processes note their share twice a second, each at its own times; the load is the sum of their latest notes.
    """
    parts = [pd.DataFrame(p.notes["users"]).assign(process=p.name) for p in found if p.notes.get("users")]
    notes = (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame({"time": [], "users": [], "due": [], "process": []})
    )
    step = 0.5
    notes["slot"] = (notes["time"] / step).round().astype("int64")
    wide = notes.pivot_table(index="slot", columns="process", values=["users", "due"], aggfunc="last", dropna=False)
    users = wide["users"].ffill().fillna(0).sum(axis=1)
    frame = pd.DataFrame({"time": users.index.to_numpy() * step, "users": users.astype("int64").to_numpy()})
    if notes["due"].notna().any():
        due = wide["due"].ffill().fillna(0).sum(axis=1)
        frame["rate"] = (due.diff() / (due.index.to_series().diff() * step)).fillna(0.0).to_numpy()
    frame["time"] = pd.to_datetime(frame["time"] * 1e9, unit="ns", utc=True)
    return frame


def span(found: list[Process]) -> tuple[float, float]:
    """The first start and last stop of the load, in seconds since 1970."""
    starts = [note["time"] for p in found for note in p.notes.get("start", [])]
    stops = [note["time"] for p in found for note in p.notes.get("stop", [])]
    # A generator that was lost noted no stop: use its last note.
    alive = [note["time"] for p in found for note in p.notes.get("users", [])]
    if not starts:
        raise LoadTestError("the generator never started: its record files have no start")
    return min(starts), max(stops or alive or starts)
