"""SQLite's EXPLAIN QUERY PLAN: https://www.sqlite.org/eqp.html"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from perflab.notes import Note
from perflab.queries import conditions
from perflab.queries.findings_notes import INDEX_UNUSED, NO_PLAIN_INDEX, NO_STATISTICS, ROWS_READ_UNKNOWN
from perflab.queries.plan_advice import Answer, Index, InnerLoop, Step, bound, condition_of, quoted
from perflab.queries.tokens import tokens

_STEP = re.compile(
    r"(?P<how>SCAN|SEARCH) (?:TABLE )?(?P<table>.+?)(?: AS (?P<alias>\S+))?"
    r"(?: USING (?P<auto>AUTOMATIC )?(?:PARTIAL )?(?:COVERING )?"
    r"(?:INDEX(?: (?P<index>[^()]+?))?|INTEGER PRIMARY KEY|PRIMARY KEY))?"
    r"(?: \((?P<terms>.*)\))?(?: LEFT-JOIN)?$"
)
_COUNTED = 1_000_000
_LOOKED_AT = 20_000
_EVERY = 10_000  # virtual machine steps between checks of the clock


def plan(
    connection: Any, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None, *, analyze: bool, timeout_ms: float
) -> Answer:
    """The steps of the plan; with ``analyze`` the statement is run, unable to write."""
    values = bound(parameters) if parameters is not None else [None] * _placeholders(sql)
    rows = _asked(connection, f"EXPLAIN QUERY PLAN {sql}", values)
    names = conditions.aliases(sql, "sqlite")
    sought = conditions.where(sql, "sqlite")
    steps = [_step(connection, row, names, sought) for row in rows]
    loops = _inner_loops(connection, steps)
    notes = (NO_STATISTICS(),) if loops and not _has_statistics(connection) else ()
    if not analyze:
        return Answer(tuple(steps), notes=notes, loops=loops)
    took, returned = _run(connection, sql, values, timeout_ms)
    return Answer(tuple(steps), took, (ROWS_READ_UNKNOWN(rows=returned), *notes), loops)


def _inner_loops(connection: Any, steps: Sequence[Step]) -> tuple[InnerLoop, ...]:
    """A SCAN that is not the first loop of its level runs once for each row of the loops before it."""
    outer: dict[int | None, Step] = {}
    found = []
    for step in steps:
        match = _STEP.match(step.operation)
        if match is None:
            continue
        before = outer.get(step.parent)
        if before is None:
            outer[step.parent] = step
        elif match["how"] == "SCAN" and not match["index"]:
            name = match["alias"] or match["table"]
            above = _STEP.match(before.operation)
            table = before.table or (above["table"] if above else "")
            rows = _rows(connection, table) if before.table else math.nan
            found.append(InnerLoop(name, table, rows, _rows(connection, step.table) if step.table else math.nan))
    return tuple(loop for loop in found if loop.matters)


def _has_statistics(connection: Any) -> bool:
    return bool(_asked(connection, "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'")[0][0])


def _placeholders(sql: str) -> int:
    found = [text for kind, text in tokens(sql, "sqlite") if kind == "placeholder"]
    return max([int(t[1:]) for t in found if t[1:].isdigit()], default=len(found))


def _asked(connection: Any, sql: str, values: Any = ()) -> list[Any]:
    cursor = connection.cursor()
    cursor.row_factory = None
    try:
        return list(cursor.execute(sql, values).fetchall())
    finally:
        cursor.close()


def _step(connection: Any, row: Any, names: Mapping[str, str], sought: conditions.Sought) -> Step:
    number, parent, _, detail = row
    match = _STEP.match(detail)
    alias = (match["alias"] or match["table"]) if match else ""
    table = names.get(alias.lower(), match["table"] if match else "")
    columns = {c.lower() for c in _columns(connection, table)} if match else set()
    if match is None or not columns:  # a sort, a subquery, a table-valued function
        return Step(number, parent or None, detail)

    def mine(column: conditions.Column) -> bool:
        qualifier = column.qualifier.lower()
        return column.name.lower() in columns and qualifier in ("", alias.lower(), table.lower())

    scan = match["how"] == "SCAN" and not match["index"]
    equal, bounded = conditions.of_table(sought.equal, mine), conditions.of_table(sought.bounded, mine)
    if match["auto"]:  # SQLite reads the table to build an index for this one statement
        scan, equal, bounded = True, _terms(match["terms"] or ""), ()
    reads = _rows(connection, table) if scan else math.nan
    return Step(
        number,
        parent or None,
        detail,
        table,
        match["index"],
        condition_of(match["terms"], "sqlite") if match["terms"] else None,
        reads=reads,
        keeps=_kept(connection, table, equal, bounded, reads) if scan else math.nan,
        full_scan=scan,
        equal=equal,
        bounded=bounded,
    )


def _rows(connection: Any, table: str) -> float:
    return float(_asked(connection, f"SELECT count(*) FROM (SELECT 1 FROM {quoted(table)} LIMIT {_COUNTED})")[0][0])


def _columns(connection: Any, table: str) -> list[str]:
    return [str(row[1]) for row in _asked(connection, f"PRAGMA table_info({quoted(table)})")]


def _terms(text: str) -> tuple[str, ...]:
    return tuple(conditions.unquoted(t.split("=")[0].strip()) for t in text.split(" AND ") if "=" in t)


def _kept(connection: Any, table: str, equal: Sequence[str], bounded: Sequence[str], reads: float) -> float:
    """Rows that the equalities leave, by how many different values a part of the table has in those columns."""
    if not equal:
        return reads / 3 if bounded else reads
    part = f"(SELECT {', '.join(map(quoted, equal))} FROM {quoted(table)} LIMIT {_LOOKED_AT})"
    looked = min(reads, float(_LOOKED_AT))
    different = float(_asked(connection, f"SELECT count(*) FROM (SELECT DISTINCT * FROM {part})")[0][0])
    return reads / max(different * (reads / looked if different > 0.9 * looked else 1.0), 1.0)


def _run(connection: Any, sql: str, values: Any, timeout_ms: float) -> tuple[float, int]:
    """Milliseconds and rows of a run during which SQLite refuses to write."""
    before = _asked(connection, "PRAGMA query_only")[0][0]
    connection.execute("PRAGMA query_only = ON")
    cursor = connection.cursor()
    start = time.perf_counter()
    connection.set_progress_handler(lambda: (time.perf_counter() - start) * 1e3 > timeout_ms, _EVERY)
    try:
        cursor.execute(sql, values)
        returned = 0
        while part := cursor.fetchmany(1000):
            returned += len(part)
        return (time.perf_counter() - start) * 1e3, returned
    finally:
        connection.set_progress_handler(None, 0)
        cursor.close()
        connection.execute(f"PRAGMA query_only = {int(before)}")


@contextmanager
def trial(connection: Any, timeout_ms: float, lock_ms: int) -> Iterator[Callable[[str], object]]:
    """A function that runs a statement in a transaction which is rolled back."""
    if connection.in_transaction:
        raise ValueError("prove=True needs a connection without an open transaction")
    was = _asked(connection, "PRAGMA busy_timeout")[0][0]
    connection.execute(f"PRAGMA busy_timeout = {lock_ms}")

    def execute(sql: str) -> None:
        start = time.perf_counter()
        connection.set_progress_handler(lambda: (time.perf_counter() - start) * 1e3 > timeout_ms, _EVERY)
        try:
            connection.execute(sql)
        finally:
            connection.set_progress_handler(None, 0)

    try:
        connection.execute("BEGIN IMMEDIATE")
        yield execute
    finally:
        if connection.in_transaction:
            connection.rollback()
        connection.execute(f"PRAGMA busy_timeout = {int(was)}")


def indexes(connection: Any, sql: str, wasteful: Sequence[Step]) -> tuple[tuple[Index, ...], tuple[Note, ...]]:
    """An index for each wasteful scan, unless there is one that begins with its columns."""
    found: dict[Index, None] = {}
    notes = []
    for step in wasteful:
        table, columns = str(step.table), (*step.equal, *step.bounded[:1])
        if not columns:
            notes.append(NO_PLAIN_INDEX(table=table))
        elif any(lead[: len(columns)] == list(columns) for lead in _leading(connection, table)):
            notes.append(INDEX_UNUSED(table=table, columns=columns, database="SQLite"))
        else:
            found[Index(table, columns)] = None
    return tuple(found), tuple(notes)


def _leading(connection: Any, table: str) -> list[list[str]]:
    names = [row[1] for row in _asked(connection, f"PRAGMA index_list({quoted(table)})")]
    return [[str(row[2]) for row in _asked(connection, f"PRAGMA index_info({quoted(name)})")] for name in names]
