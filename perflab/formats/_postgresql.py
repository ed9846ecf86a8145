"""What PostgreSQL's three log formats share: from log records to statements.

A server with ``log_min_duration_statement`` writes ``duration: 0.016 ms  statement: SQL`` for a simple query, and parse,
bind and execute records, each with its own duration, for the extended protocol; those are one statement. With
``log_statement`` and ``log_duration`` the text comes first and the duration alone after it.
https://www.postgresql.org/docs/current/runtime-config-logging.html
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.accounting import Tally, count_marker
from perflab.errors import FormatError
from perflab.formats import Tables, _log_columns, _plans, _queries
from perflab.formats import _log_notes as notes
from perflab.formats._computing import computing
from perflab.formats._log_records import COLUMNS
from perflab.formats._queries import MAX_TEXT
from perflab.notes import Note

_LONGEST_MS = 1e12
_BLOCK = 1 << 18

# One pass over the records: a part of the query that is named twice would be kept whole in memory.
_STATEMENTS = f"""
WITH marked AS (
    SELECT *, starts_with(message, 'duration: ') AS timed,
        starts_with(message, 'statement: ') OR starts_with(message, 'execute ') AS texted FROM records
), places AS (
    SELECT *, CASE WHEN timed THEN strpos(substr(message, 1, 40), ' ms') + 3 ELSE 1 END AS place FROM marked
), words AS (
    SELECT *, substr(message, place, 200) AS rest,
        CASE WHEN timed THEN ltrim(substr(message, place, 30)) ELSE substr(message, 1, 30) END AS word FROM places
), kinds AS (
    SELECT *, CASE WHEN strpos(rest, ': ') > 0 THEN strpos(rest, ': ') ELSE strpos(rest, ':' || chr(10)) END AS colon FROM (
        SELECT * REPLACE (CASE WHEN starts_with(word, 'rows: ') THEN regexp_extract(rest, 'bytes +(.*)', 1) ELSE word END AS word,
            CASE WHEN starts_with(word, 'rows: ') THEN place + strpos(rest, ' bytes') + 5 ELSE place END AS place,
            CASE WHEN starts_with(word, 'rows: ') THEN substr(rest, strpos(rest, ' bytes') + 6) ELSE rest END AS rest)
        FROM words)
), named AS (
    SELECT *, CASE WHEN NOT (timed OR texted) THEN 'o' WHEN NOT timed THEN 'q' WHEN starts_with(word, 'plan:') THEN 'x'
        WHEN colon > 0 AND word[1] IN ('s', 'e', 'p', 'b', 'f') THEN word[1] ELSE 'd' END AS kind FROM kinds
)
SELECT logged, "user", "database", application, session, line,
    CASE WHEN kind IN ('s', 'e', 'q') THEN detail END AS detail,
    CASE WHEN timed THEN TRY_CAST(split_part(substr(message, 1, 60), ' ', 2) AS DOUBLE) END AS ms, kind,
    CASE WHEN kind IN ('s', 'e', 'q') THEN substr(message, place + colon + 1, {MAX_TEXT})
        WHEN kind = 'x' THEN message END AS sql,
    CASE WHEN kind = 'x' THEN context IS NOT NULL WHEN kind IN ('e', 'q') THEN starts_with(word, 'execute fetch from ')
        ELSE false END AS inner
FROM named
"""


def from_table(path: Path, records: list[Any], tally: Tally, timezone: str | None, meta: dict[str, Any]) -> Tables:
    """Statements of an Arrow table of records (the tolerant way); the list gives its only table away, to free it early."""
    with computing(records[0].nbytes, ordered=False) as connection:
        connection.register("records", records.pop())
        found = [connection.sql(_STATEMENTS).to_arrow_table()]
        connection.unregister("records")
    return _tables(path, found, tally, timezone, meta)


def from_query(path: Path, records: str, marker: bytes, timezone: str | None, meta: dict[str, Any]) -> Tables | None:
    """Statements of a DuckDB query for records (the fast way); None where any of the file is not as it should be.

    The durations that the query finds must be as many as the markers in the file's bytes.
    """
    import duckdb

    with ThreadPoolExecutor(1) as beside, computing(path.stat().st_size, ordered=False) as connection:
        marked = beside.submit(_markers, path, marker)
        try:
            query = f"WITH records AS ({records}), {_STATEMENTS.lstrip()[5:]}"
            found = [connection.sql(query, params={"path": str(path)}).to_arrow_table()]
        except duckdb.Error:
            return None
    if marked.result() != len(found[0]) - found[0]["ms"].null_count:
        return None
    tally = Tally("record", total=len(found[0]))
    tally.mark("duration:", marked.result(), 0)
    return _tables(path, found, tally, timezone, meta)


def _markers(path: Path, marker: bytes) -> int:
    with path.open("rb", buffering=0) as file:
        return count_marker(iter(lambda: file.read(_BLOCK), b""), marker)


def _tables(path: Path, held: list[Any], tally: Tally, timezone: str | None, meta: dict[str, Any]) -> Tables:
    """The queries of the found records; the list gives its only table away, to free it early."""
    found = held.pop()
    _give_back()
    codes, kind, ms, order, sessions = _ordered(found)
    tally.known += found.num_rows - len(kind)
    if not len(kind):
        raise FormatError(notes.NOTHING_TIMED(path=path))
    plans = np.flatnonzero(kind == "x")
    rest = np.flatnonzero(kind != "x") if len(plans) else np.arange(len(kind))
    chosen, took, alone = _folded(codes[rest], kind[rest], ms[rest])
    chosen, alone, left = rest[chosen], rest[alone], len(alone)
    inner = found["inner"].combine_chunks().to_numpy(zero_copy_only=False)[order]
    if inner[chosen].any():
        chosen, took = _without_fetches(chosen, took, inner, codes, found["sql"].take(order))
    warnings = [notes.DURATIONS_ALONE(source=path.name, count=left)] if left else []
    planned, unread = _Planned(chosen, took, None, {}), 0
    if len(plans):
        outer = plans[~_nested(plans, chosen, inner, codes)]
        tally.note(notes.NESTED, len(plans) - len(outer))
        planned, unread = _with_plans(outer, chosen, took, codes, kind, ms, found["sql"].take(order))
        warnings += [notes.UNREAD_PLANS(source=path.name, count=unread)] if unread else []
    if not len(planned.places):
        raise FormatError(notes.NO_TEXTS(path=path, count=len(kind)))
    untimed, count = int(np.isnan(planned.took).sum()), len(planned.took)
    if untimed == count:
        warnings.append(notes.NO_DURATIONS())
    elif untimed:
        warnings.append(notes.SOME_UNTIMED(source=path.name, untimed=untimed, count=count))
    tally.mark("duration:", 0, int(np.sum(kind != "q")))
    logged = _taken(found["logged"], order[planned.places])
    start, zones = _starts(logged, np.nan_to_num(planned.took), codes[planned.places], timezone)
    by_start = np.argsort(start, kind="stable")
    planned = planned.in_order(by_start)
    columns = {name: found[name] for name in ("sql", "detail", *COLUMNS[1:5])}
    del found, logged
    rows = order[planned.places]
    table = {name: _taken(columns.pop(name), rows) for name in list(columns)}  # each is freed once it is taken
    frame = _frame(table, planned, start[by_start])
    frame, left_out = _without_housekeeping(frame)
    tally.note(notes.DEALLOCATES, left_out)
    tally.note(notes.CUT_TEXTS, int((frame["sql"].str.len() >= MAX_TEXT).sum()))
    tally.rows += len(frame)
    tally.known += left_out + left + unread
    tally.continued += len(kind) - count - left - unread
    tables = Tables(
        {"queries": frame},
        warnings=[*zones, *warnings, *tally.notes(path.name), *_queries.doubts(frame, path.name)],
        meta={"tool": "postgresql", **meta},
        accounting=tally.account(),
    )
    tables.owed = _owed(codes[alone], kind[alone], ms[alone], sessions)
    return tables


def _owed(codes: Any, kind: Any, ms: Any, sessions: Any) -> dict[str, tuple[int, float]]:
    """By session the parse and bind records, of those that belong to no statement, and their milliseconds."""
    of_next = np.isin(kind, ("p", "b"))
    frame = pd.DataFrame({"session": sessions[codes[of_next]], "ms": np.nan_to_num(ms[of_next])})
    summed = frame.groupby("session")["ms"].agg(["size", "sum"])
    return dict(zip(summed.index, zip(summed["size"].tolist(), summed["sum"].tolist(), strict=True), strict=True))


def _ordered(found: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Session codes, kinds and durations of what is about statements, in the order of sessions and lines, that order, and the
    sessions that the codes stand for."""
    session = found["session"].combine_chunks().dictionary_encode()
    found_first = session.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype("int64")
    names = np.array([*session.dictionary.to_pylist(), ""], dtype=object)
    codes = np.argsort(np.argsort(names, kind="stable"))[found_first]  # by name: threads find them in any order
    line = found["line"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False).astype("int64")
    order = np.lexsort((line, codes))
    kinds = found["kind"].combine_chunks().dictionary_encode()
    letters = np.array([*kinds.dictionary.to_pylist(), ""], dtype="U1")
    kind = letters[kinds.indices.to_numpy(zero_copy_only=False)][order]
    if (about := kind != "o").sum() < len(kind):
        order, kind = order[about], kind[about]
    ms = found["ms"].combine_chunks().fill_null(float("nan")).to_numpy(zero_copy_only=False).astype("float64")[order]
    ms[~((ms >= 0) & (ms < _LONGEST_MS))] = np.nan  # a damaged number
    return codes[order], kind, ms, order, np.sort(names)


@dataclass(frozen=True)
class _Planned:
    """The places of statements and their durations, the rows that their plans returned, and what only plans say."""

    places: Any
    took: Any
    rows: Any
    plans: dict[int, _plans.Plan]

    def in_order(self, order: Any) -> _Planned:
        rows = None if self.rows is None else self.rows[order]
        return _Planned(self.places[order], self.took[order], rows, self.plans)


def _without_fetches(chosen: Any, took: Any, inner: Any, codes: Any, texts: Any) -> tuple[Any, Any]:
    """Statements without the fetches from their cursors, whose time counts with the statement that opened the cursor."""
    import pyarrow as pa

    some = np.flatnonzero(np.isin(codes[chosen], codes[chosen[inner[chosen]]]))
    frame = pd.DataFrame(
        {"code": codes[chosen[some]], "sql": texts.take(pa.array(chosen[some])).to_pylist(), "at": some}
    )
    frame["owner"] = frame["at"].where(~inner[chosen[some]])
    owner = frame.groupby(["code", "sql"], sort=False)["owner"].ffill()
    fetched = frame[owner.notna() & (owner != frame["at"])]
    took = took.copy()
    np.add.at(took, owner[fetched.index].to_numpy(dtype="int64"), np.nan_to_num(took[fetched["at"]]))
    kept = np.setdiff1d(np.arange(len(chosen)), fetched["at"].to_numpy())
    return chosen[kept], took[kept]


def _nested(plans: Any, chosen: Any, inner: Any, codes: Any) -> Any:
    """Which plans are of statements inside functions (they have a context), whose caller the session logs after them."""
    outer = np.union1d(chosen, plans[~inner[plans]])
    following = np.searchsorted(outer, plans)
    called = following < len(outer)
    called[called] = codes[outer[following[called]]] == codes[plans[called]]
    return inner[plans] & called


def _with_plans(plans: Any, chosen: Any, took: Any, codes: Any, kind: Any, ms: Any, texts: Any) -> tuple[_Planned, int]:
    """Plans joined to their statements, and how many could not be read; a plan without a statement is one."""
    import pyarrow as pa

    parsed = [_plans.plan(text or "") for text in texts.take(pa.array(plans)).to_pylist()]
    kept = [(int(place), one) for place, one in zip(plans, parsed, strict=True) if one is not None]
    known = texts.take(pa.array(chosen)).to_pylist() if len(chosen) else []
    owner = np.array(
        _plans.owners([p for p, _ in kept], [o for _, o in kept], chosen, kind[chosen], codes, known), dtype="int64"
    )
    rows = np.full(len(chosen), np.nan)
    given = np.array([np.nan if one.rows is None else one.rows for _, one in kept])
    rows[owner[owner >= 0]] = given[owner >= 0]
    own = [entry for entry, number in zip(kept, owner, strict=True) if number < 0]
    places = np.concatenate([chosen, np.array([p for p, _ in own], dtype="int64")])
    order = np.argsort(places, kind="stable")
    took = np.concatenate([took, ms[[p for p, _ in own]]])[order]
    planned = _Planned(places[order], took, np.concatenate([rows, given[owner < 0]])[order], dict(own))
    return planned, len(plans) - len(kept)


def _starts(logged: Any, took: Any, codes: Any, timezone: str | None) -> tuple[Any, list[Note]]:
    """Microseconds since 1970 of statements that are logged when they end, and notes on the zone."""
    if logged.null_count == len(took):  # a log_line_prefix without a time: all that is known is the order
        return np.zeros(len(took), dtype="int64"), [notes.NO_TIMES()]
    end, zones = _log_columns.instants(logged, timezone)
    return _log_columns.not_before(end - np.round(np.round(took, 6) * 1e3).astype("int64"), codes), zones


def _frame(table: dict[str, Any], planned: _Planned, start: Any) -> pd.DataFrame:
    sql, detail = _log_columns.text(table["sql"]), table["detail"]
    if planned.plans:
        sql, detail = _with_planned(sql, detail, planned)
    frame = pd.DataFrame(
        {
            "start": pd.Series(pd.to_datetime(start, unit="us", utc=True)).astype("datetime64[us, UTC]"),
            "sql": sql,
            "duration_ms": np.round(np.nan_to_num(planned.took), 6),
            "session": _log_columns.text(table["session"]),
            "parameters": _log_columns.parameters(detail),
            "database": _log_columns.text(table["database"]),
            "user": _log_columns.text(table["user"]),
            "application": _log_columns.text(table["application"]),
            "dialect": "postgresql",
        }
    )
    if planned.rows is not None:
        frame["plan_rows"] = pd.array(planned.rows, dtype="Int64")
    optional = ("session", "parameters", "database", "user", "application", "plan_rows")
    frame = frame.drop(columns=[c for c in optional if c in frame and frame[c].isna().all()])
    return _queries.commented(frame)


def _without_housekeeping(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Without the DEALLOCATE that drivers send when they let a prepared statement go; pgBadger counts them no more than we."""
    theirs = frame["sql"].str.startswith("DEALLOCATE").to_numpy(dtype=bool)
    return (frame[~theirs].reset_index(drop=True), int(theirs.sum())) if theirs.any() else (frame, 0)


def _with_planned(sql: Any, detail: Any, planned: _Planned) -> tuple[Any, Any]:
    """Texts and parameters, with those of the statements that are known by their plan only."""
    import pyarrow as pa

    texts, details = sql.to_numpy(dtype=object).copy(), detail.to_pylist()
    for number in np.flatnonzero(np.isin(planned.places, list(planned.plans))):
        one = planned.plans[int(planned.places[number])]
        texts[number], details[number] = one.sql[:MAX_TEXT], one.parameters
    return pd.array(texts, dtype="str"), pa.array(details, type=pa.large_string())


def _taken(column: Any, rows: Any) -> Any:
    """These rows of a column; of one with few different texts, by their codes."""
    import pyarrow as pa

    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    del column
    _give_back()
    if len(whole) > 1000 and len(whole[: 1 << 16].unique()) < 1000:
        whole = whole.dictionary_encode()
    return whole.take(pa.array(rows))


def _give_back() -> None:
    """Memory that Arrow holds for later, which is not soon enough here."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _folded(codes: Any, kind: Any, ms: Any) -> tuple[Any, Any, Any]:
    """Which records are statements, their durations with the parse and bind before them, and which are left over.

    All in the order of sessions and lines.
    """
    text = np.isin(kind, ("s", "e", "q"))
    if not text.any():
        return np.flatnonzero(text), ms[text], np.arange(len(kind))
    alone = (kind == "q") & (np.append(codes[1:] == codes[:-1], False)) & (np.append(kind[1:] == "d", False))
    ms = ms.copy()
    owned = np.append(False, alone[:-1])  # a bare duration right after its text
    ms[np.flatnonzero(alone)] = ms[np.flatnonzero(owned)]
    ms = np.where(owned, 0.0, ms)
    following = np.append(0, np.cumsum(text)[:-1])  # the statement that each record belongs to: the next one
    belongs = following < text.sum()
    chosen = np.flatnonzero(text)
    same = np.zeros(len(kind), dtype=bool)
    same[belongs] = codes[belongs] == codes[chosen[following[belongs]]]
    same &= kind != "f"  # a function called past the parser is part of no statement
    total = np.bincount(following[same], weights=np.nan_to_num(ms[same]), minlength=len(chosen))
    left = np.flatnonzero(~text & ~owned & ~same)
    return chosen, np.where(np.isnan(ms[chosen]) & (total == 0), np.nan, total), left
