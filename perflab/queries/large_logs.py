"""N+1 in logs larger than memory: statements parted by request and session, so that no unit of work is divided.

Each part is analysed like a log of its own, and the patterns are merged: units, calls and times are sums over all parts;
what a test decided (slope, evidence, parent) comes from the part that has most of the pattern's units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.executing import AHEAD, mapped
from perflab.data.joining import frame_of_run
from perflab.data.places import scratch
from perflab.data.stored_runs import StoredRun, StoredTables
from perflab.notes import Note
from perflab.progress import Progress
from perflab.queries import comments
from perflab.queries.patterns import Found, found_in

PART_ROWS = 500_000
_BATCH = 1 << 18
_SESSION = ("session", "database", "user", "application")
_KEY = ["parent", "child", "route", "source", "_same", "_holder"]
Hashes = npt.NDArray[np.uint64]


class _Part(NamedTuple):
    """A part of the statements of a run, as a Parquet file: a worker on another machine has none of this one's files."""

    run: str
    data: bytes


def find_in_parts(
    tables: StoredTables, threshold: int, dialect: str | None, executor: Executor | None, *, units: bool = True
) -> Found:
    """The patterns of all stored runs, in the memory of some parts of their logs; without ``units`` no occurrences by unit."""
    import pyarrow as pa

    total = int(tables.row_counts("queries").sum())
    with scratch("perflab-parts-") as folder:
        files = [(run.name, file) for run in tables.stored.values() for file in _parted(run, folder)]
        pa.default_memory_pool().release_unused()
        parts = (_Part(run, file.read_bytes()) for run, file in files)
        found = []
        with Progress(len(files), "N+1 by parts of the log", shown=total >= 4 * PART_ROWS) as progress:
            work = partial(_of_part, threshold=threshold, dialect=dialect, units=units)
            for done, one in enumerate(mapped(work, parts, executor, ahead=AHEAD), 1):
                found.append(one)
                progress.update(done)
    return merged(found)


def _of_part(part: _Part, threshold: int, dialect: str | None, units: bool) -> Found:
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = frame_of_run("queries", part.run, pq.read_table(pa.BufferReader(part.data)))
    found = found_in(frame, threshold, dialect)
    return found if units else found._replace(by_unit=found.by_unit.iloc[:0])


def _parted(run: StoredRun, folder: Path) -> Iterator[Path]:
    """The statements of a run in files of about `PART_ROWS`, each with all that belongs to its units of work."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = max(1, -(-run.rows.get("queries", 0) // PART_ROWS))
    writers: dict[int, Any] = {}
    place = folder / str(len(list(folder.iterdir())))
    place.mkdir()
    try:
        with (run.folder / "queries.parquet").open("rb") as source:
            log = pq.ParquetFile(source)
            held = _held(log)
            for batch in log.iter_batches(_BATCH):
                table = pa.Table.from_batches([batch])
                bucket = (_keys(table, held) % np.uint64(count)).astype("int64")
                ordered = table.take(pa.array(np.argsort(bucket, kind="stable")))
                edges = np.append(0, np.cumsum(np.bincount(bucket, minlength=count)))
                for code in np.flatnonzero(np.diff(edges)).tolist():
                    if code not in writers:
                        file = place / f"{code}.parquet"
                        writers[code] = pq.ParquetWriter(file, ordered.schema, compression="lz4", use_dictionary=False)
                    writers[code].write_table(ordered.slice(edges[code], edges[code + 1] - edges[code]))
    finally:
        for writer in writers.values():
            writer.close()
    yield from (place / f"{code}.parquet" for code in sorted(writers))


def _held(log: Any) -> set[str]:
    """The columns with any value."""
    found = set()
    for group in range(log.metadata.num_row_groups):
        rows = log.metadata.row_group(group)
        for column in map(rows.column, range(rows.num_columns)):
            known = column.statistics
            if known is None or not known.has_null_count or known.null_count < rows.num_rows:
                found.add(column.path_in_schema.partition(".")[0])
    return found


def _keys(table: Any, held: set[str]) -> Hashes:
    """A hash for each statement of what its unit of work lies in: the trace, the request, or else the session."""
    found = np.zeros(len(table), dtype="uint64")
    for column in reversed(_SESSION[:1] if "session" in held else _SESSION):
        if column in held:
            found = found * np.uint64(31) + _hashed(table[column])[0]
    for column in ("unit", "trace"):
        values, known = _hashed(table[column]) if column in held else _in_comments(table["sql"], column)
        found = np.where(known, values, found)
    return found


def _hashed(column: Any) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """A hash of each text, and where there is one."""
    coded = column.combine_chunks().dictionary_encode()
    texts = [str(text or "").strip() for text in coded.dictionary.to_pylist()]
    hashes = np.append(pd.util.hash_array(np.array([*texts, ""], dtype=object), categorize=False)[:-1], np.uint64(0))
    codes = coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    known = np.array([*map(bool, texts), False])[codes]
    return np.where(known, hashes[codes], np.uint64(0)), known


def _in_comments(sql: Any, column: str) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    import pyarrow as pa

    found = comments.ids(sql.to_pandas(), column)
    if found is None:
        return np.zeros(len(sql), dtype="uint64"), np.zeros(len(sql), dtype=bool)
    return _hashed(pa.chunked_array([pa.array(found, pa.string(), from_pandas=True)]))


def merged(parts: Sequence[Found]) -> Found:
    """What was found in parts of a log, as of the whole."""
    if len(parts) == 1:
        return parts[0]
    known = [part for part in parts if len(part.patterns)]
    whole = Found(
        sum(part.statements for part in parts),
        sum(part.units for part in parts),
        parts[0].patterns.iloc[:0],
        pd.concat([part.by_unit for part in parts], ignore_index=True),
        _notes(parts),
    )
    if not known:
        return whole
    stacked = _same_parents(
        pd.concat([part.patterns.assign(_part=n) for n, part in enumerate(known)], ignore_index=True)
    )
    nth = pd.concat([part.patterns.groupby(_KEY, dropna=False).cumcount() for part in known], ignore_index=True)
    grouped = stacked.assign(_nth=nth).groupby([*_KEY, "_nth"], dropna=False, sort=False)
    rows = [_together(group) for _, group in grouped]
    return whole._replace(patterns=pd.DataFrame(rows).astype(known[0].patterns.dtypes.to_dict()))


def _same_parents(stacked: pd.DataFrame) -> pd.DataFrame:
    """The patterns of parts, those of a child with another parent than in the part with most of its units given that parent.

    Only of children that have one parent in each of these parts: a loop at two places of a program stays two patterns.
    """
    child = [column for column in _KEY if column not in ("parent", "_holder")]
    code = stacked.groupby(child, dropna=False, sort=False).ngroup()
    single = (stacked.groupby([code, "_part"])["units"].transform("size") == 1).groupby(code).transform("all")
    most = code[single].map(stacked[single].groupby(code[single])["units"].idxmax())
    found = stacked.copy()
    for column in ("parent", "_holder"):
        found.loc[single, column] = stacked[column].loc[most].to_numpy()
    return found


def _together(group: pd.DataFrame) -> dict[str, Any]:
    """One pattern from what each part has of it."""
    first: dict[str, Any] = group.iloc[int(group["units"].to_numpy().argmax())].drop(["_nth", "_part"]).to_dict()
    units, calls, time = (group[c].sum() for c in ("units", "calls", "time_ms"))
    unit_ms = np.concatenate(group["_unit_ms"].to_list())
    saved = int(calls - units) if first["calls_saved"] > 0 else 0
    return first | {
        "units": int(units),
        "calls": int(calls),
        "calls_per_unit": calls / units,
        "time_ms": float(time),
        "calls_saved": saved,
        "time_saved_ms": float(time) * saved / calls,
        "unit_time_fraction": time / unit_ms.sum() if unit_ms.sum() else 0.0,
        "unit_p95_ms": float(np.quantile(unit_ms, 0.95, method="median_unbiased")),
        "_unit_ms": unit_ms,
    }


def _notes(parts: Sequence[Found]) -> tuple[Note, ...]:
    """The notes of the parts, their counts added up."""
    found: dict[str, Note] = {}
    for note in (note for part in parts for note in part.notes):
        if note.code not in found:
            found[note.code] = note
            continue
        facts = dict(found[note.code].facts)
        facts |= {name: facts[name] + note.facts[name] for name in ("statements", "units") if name in facts}
        found[note.code] = replace(note, facts=facts)
    total = sum(part.statements for part in parts)
    return tuple(
        replace(note, facts={**note.facts, "total": total, "share_fraction": note.facts["statements"] / total})
        if "statements" in note.facts else note
        for note in found.values()
    )  # fmt: skip
