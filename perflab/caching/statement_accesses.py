"""The reads and writes of a queries table as accesses to a cache of statement results."""

from __future__ import annotations

import numpy as np
import pandas as pd

from perflab.caching.accesses import Accesses, Flags, Floats, Ints, Writes, codes_of, seconds
from perflab.data.tables import Measurements
from perflab.queries.changes import changers, one_key, value_read, value_written
from perflab.queries.repetitions import reads
from perflab.queries.shape import Shape
from perflab.queries.statements import Statements, statements

STATEMENT = "statement"
_READS = ("lookup", "batch", "scan")


def of_statements(queries: pd.DataFrame | Measurements, dialect: str | None = None) -> Accesses:
    """Every read whose values are known, keyed by statement, values, database and state of the session."""
    prepared = statements(queries, dialect=dialect, stores=True)
    frame = prepared.frame
    known = reads(prepared)
    all_reads = int(frame["fp"].isin([c for c, s in enumerate(prepared.shapes) if s.kind in _READS]).sum())
    at_s = seconds(frame["start"])
    known = known.assign(at_s=at_s[known["place"].to_numpy()]).dropna(subset="at_s").sort_values("at_s", kind="stable")
    place = known["place"].to_numpy()
    run = codes_of(frame["run"].fillna(""))
    key = codes_of(run[place], known["fp"], known["question"])
    candidate, prints = pd.factorize(known["fp"])
    first = np.unique(key, return_index=True)[1]
    groups, writes = _invalidation(prepared, known["fp"].to_numpy()[first], place[first], at_s, run)
    units = np.asarray(prepared.units.names, dtype=object)
    sizes = frame["size_bytes"] if "size_bytes" in frame else pd.Series(np.nan, index=frame.index)
    return Accesses(
        key=key,
        candidate=candidate.astype("int64"),
        candidates=tuple(prepared.fingerprints[code] for code in prints),
        at_s=known["at_s"].to_numpy(),
        took_ms=known["time_ms"].to_numpy(dtype="float64"),
        size_bytes=sizes.to_numpy(dtype="float64", na_value=np.nan)[place],
        run=run[place],
        owner=units[known["unit"].to_numpy()] if len(known) else np.zeros(0, dtype=object),
        row=place,
        groups=groups,
        writes=writes,
        kind=STATEMENT,
        unknown=all_reads - len(known),
        timed=bool(frame["start"].notna().any()),
    )


def _invalidation(prepared: Statements, prints: Ints, place: Ints, at_s: Floats, run: Ints) -> tuple[Ints, Writes]:
    """The groups of each key (its statement; its statement and the value looked up), and the writes that drop them."""
    codes = prepared.frame["fp"].to_numpy()
    # A ROLLBACK or a CALL names no table: what it changes is not known, and it drops nothing here.
    by_table, _ = changers(prepared)
    cached = sorted(set(prints.tolist()))
    affected: dict[int, list[int]] = {}
    for table, writers in by_table.items():
        for write in writers:
            reading = [code for code in cached if code != write and table in prepared.shapes[code].tables]
            affected[write] = sorted({*affected.get(write, ()), *reading})
    writing = np.flatnonzero(np.isin(codes, [write for write, reading in affected.items() if reading]))
    writing = writing[~np.isnan(at_s[writing])]
    writing = writing[np.argsort(at_s[writing], kind="stable")]
    comparable = {
        code
        for write, reading in affected.items()
        for code in reading
        if one_key(prepared.shapes[code], prepared.shapes[write])
    }
    numbers: dict[tuple[int, str | None], int] = {(code, None): number for number, code in enumerate(cached)}
    groups = np.full((len(prints), 2), -1, dtype="int64")
    for row, (code, where) in enumerate(zip(prints.tolist(), place.tolist(), strict=True)):
        groups[row, 0] = numbers[code, None]
        if code in comparable:
            value = value_read(prepared, prepared.shapes[code], where)
            if value is not None:
                groups[row, 1] = numbers.setdefault((code, value), len(numbers))
    unknown = _unknown_values(groups, prints, comparable)
    whole = [np.array([numbers[c, None] for c in affected[int(codes[w])]], dtype="int64") for w in writing]
    exact = [
        np.array(_dropped(prepared, int(w), affected[int(codes[w])], numbers, unknown), dtype="int64") for w in writing
    ]
    took = prepared.frame["duration_ms"].to_numpy(dtype="float64")[writing]
    return groups, Writes(at_s[writing] + np.nan_to_num(took) / 1e3, run[writing], tuple(exact), tuple(whole))


def _unknown_values(groups: Ints, prints: Ints, comparable: set[int]) -> set[int]:
    """Statements with keys whose value is not known: any write to their table may change those."""
    without: Flags = groups[:, 1] < 0
    return comparable & set(prints[without].tolist())


def _dropped(
    prepared: Statements,
    write: int,
    reading: list[int],
    numbers: dict[tuple[int, str | None], int],
    unknown: set[int],
) -> list[int]:
    """The groups that a write drops if only what it changed is dropped."""
    shape_written: Shape = prepared.shapes[int(prepared.frame["fp"].iat[write])]
    found = []
    for code in reading:
        shape = prepared.shapes[code]
        comparable = code not in unknown and one_key(shape, shape_written)
        value = value_written(prepared, shape, write) if comparable else None
        if value is None:
            found.append(numbers[code, None])
        elif (code, value) in numbers:
            found.append(numbers[code, value])
    return found
