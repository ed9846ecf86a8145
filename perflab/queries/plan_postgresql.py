"""PostgreSQL's EXPLAIN (FORMAT JSON): https://www.postgresql.org/docs/current/sql-explain.html"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from perflab.notes import Note
from perflab.queries import conditions
from perflab.queries.findings_notes import INDEX_UNUSED, NO_PLAIN_INDEX, NO_ROW_COUNT
from perflab.queries.plan_advice import FEW_ROWS, Answer, Index, InnerLoop, Step, bound, condition_of, numbered

_SAVEPOINT = "perflab_explain"


def plan(
    connection: Any, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None, *, analyze: bool, timeout_ms: float
) -> Answer:
    """The steps of the plan, made in a transaction that cannot write and is taken back."""
    generic, count = numbered(sql, "postgresql") if parameters is None else (sql, 0)
    if analyze and count:
        raise ValueError(f"parameters must be given to run the statement: it has {count} placeholders")
    options = "FORMAT JSON, VERBOSE" + (", ANALYZE, TIMING" if analyze else "")
    with _read_only(connection, timeout_ms) as cursor:
        if count:
            cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            cursor.execute(f"PREPARE {_SAVEPOINT} AS {_escaped(generic, cursor)}", *_extended(cursor))
            cursor.execute(f"EXPLAIN ({options}) EXECUTE {_SAVEPOINT}({', '.join(['NULL'] * count)})")
            answer = cursor.fetchone()[0]
            cursor.execute(f"DEALLOCATE {_SAVEPOINT}")
        elif parameters is None:
            cursor.execute(f"EXPLAIN ({options}) {_escaped(sql, cursor)}", *_extended(cursor))
            answer = cursor.fetchone()[0]
        else:
            cursor.execute(f"EXPLAIN ({options}) {sql}", bound(parameters))
            answer = cursor.fetchone()[0]
        top = (json.loads(answer) if isinstance(answer, str) else answer)[0]
        rows = _table_rows(cursor, top["Plan"])
    steps = tuple(_steps(top["Plan"], rows))
    unknown = sorted({s.table for s in steps if s.table and s.full_scan and math.isnan(s.reads)})
    notes = tuple(NO_ROW_COUNT(table=t) for t in unknown)
    return Answer(
        steps,
        float(top.get("Execution Time", math.nan)),
        notes,
        tuple(loop for loop in _inner_loops(top["Plan"], rows) if loop.matters),
    )


_READ_AGAIN = ("Seq Scan", "CTE Scan", "Subquery Scan", "Materialize", "Function Scan")


def _inner_loops(top: Mapping[str, Any], rows: Mapping[tuple[str, str], float]) -> Iterator[InnerLoop]:
    """Nested loops that compare each row of one side with all of the other: their condition is no index's."""
    for node in _nodes(top):
        sides = node.get("Plans", [])
        if node["Node Type"] == "Nested Loop" and "Join Filter" in node and len(sides) == 2:
            outer, inner = sides
            if inner["Node Type"] in _READ_AGAIN:
                relation = next((n for n in _nodes(inner) if "Relation Name" in n or "CTE Name" in n), inner)
                size = rows.get((relation.get("Schema", ""), relation.get("Relation Name", "")), math.nan)
                names = [_name(relation), _name(next((n for n in _nodes(outer) if "Relation Name" in n), outer))]
                count = float(outer.get("Actual Rows", outer.get("Plan Rows", math.nan)))
                yield InnerLoop(names[0], names[1], count, size)


def _name(node: Mapping[str, Any]) -> str:
    return str(node.get("Relation Name", node.get("CTE Name", node.get("Alias", node["Node Type"]))))


def _extended(cursor: Any) -> tuple[Any, ...]:
    """An empty tuple of parameters: psycopg 3 then uses the protocol that takes one statement only."""
    return ((),) if type(cursor).__module__.startswith("psycopg.") else ()


def _escaped(sql: str, cursor: Any) -> str:
    return sql.replace("%", "%%") if _extended(cursor) else sql


@contextmanager
def _read_only(connection: Any, timeout_ms: float) -> Iterator[Any]:
    """A cursor in a read-only transaction, or in a read-only part of the one that is open; nothing of it stays."""
    cursor = connection.cursor()
    own = _idle(connection)
    was = getattr(connection, "autocommit", False)
    if own and was:
        cursor.execute("BEGIN")
    cursor.execute(f"SAVEPOINT {_SAVEPOINT}")
    try:
        cursor.execute("SET LOCAL transaction_read_only = on")
        cursor.execute(f"SET LOCAL statement_timeout = {max(1, int(timeout_ms))}")
        yield cursor
    finally:
        cursor.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        cursor.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        if own:
            cursor.execute("ROLLBACK") if was else connection.rollback()
        cursor.close()


@contextmanager
def trial(connection: Any, timeout_ms: float, lock_ms: int) -> Iterator[Callable[[str], object]]:
    """A function that runs a statement in a transaction which is rolled back."""
    if not _idle(connection):
        raise ValueError("prove=True needs a connection without an open transaction")
    cursor, own = connection.cursor(), getattr(connection, "autocommit", False)
    try:
        if own:
            cursor.execute("BEGIN")
        cursor.execute(f"SET LOCAL lock_timeout = {lock_ms}")
        cursor.execute(f"SET LOCAL statement_timeout = {max(1, int(timeout_ms))}")
        yield cursor.execute
    finally:
        cursor.execute("ROLLBACK") if own else connection.rollback()
        cursor.close()


def _idle(connection: Any) -> bool:
    status = getattr(getattr(connection, "info", None), "transaction_status", None)
    return int(status) == 0 if status is not None else False


def _table_rows(cursor: Any, node: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """PostgreSQL's estimate of the rows of each table of the plan."""
    found: dict[tuple[str, str], float] = {}
    for one in _nodes(node):
        if "Relation Name" in one:
            found[one.get("Schema", ""), one["Relation Name"]] = math.nan
    for schema, table in found:
        cursor.execute(
            "SELECT c.reltuples FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname = %s",
            (schema, table),
        )
        row = cursor.fetchone()
        found[schema, table] = float(row[0]) if row is not None and row[0] >= 0 else math.nan
    return found


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.get("Plans", [])


def _steps(top: Mapping[str, Any], rows: Mapping[tuple[str, str], float]) -> Iterator[Step]:
    waiting: list[tuple[Mapping[str, Any], int | None]] = [(top, None)]
    number = 0
    while waiting:
        node, parent = waiting.pop()
        number += 1
        yield _step(node, number, parent, rows)
        waiting += [(child, number) for child in reversed(node.get("Plans", []))]


_CONDITIONS = ("Filter", "Index Cond", "Hash Cond", "Merge Cond", "Join Filter", "Recheck Cond")


def _step(node: Mapping[str, Any], number: int, parent: int | None, rows: Mapping[tuple[str, str], float]) -> Step:
    table, schema = node.get("Relation Name"), node.get("Schema")
    scan = str(node["Node Type"]).endswith("Seq Scan") and table is not None and "Filter" in node
    text = next((str(node[name]) for name in _CONDITIONS if name in node), None)
    loops = float(node.get("Actual Loops", 1))
    ran = "Actual Rows" in node
    kept = float(node["Actual Rows"]) * loops if ran else float(node.get("Plan Rows", math.nan))
    read = (
        kept + float(node.get("Rows Removed by Filter", 0)) * loops
        if ran
        else rows.get((schema or "", str(table)), math.nan)
    )
    sought = conditions.sought(str(node["Filter"]), "postgresql") if scan else conditions.Sought()
    names = ("", str(node.get("Alias", table)), str(table))

    def mine(column: conditions.Column) -> bool:
        return column.qualifier in names

    return Step(
        number,
        parent,
        str(node["Node Type"]),
        table,
        node.get("Index Name"),
        condition_of(text, "postgresql") if text else None,
        reads=read if scan else math.nan,
        keeps=kept,
        loops=loops if ran else math.nan,
        time_ms=float(node.get("Actual Total Time", math.nan)) * loops,
        full_scan=scan,
        schema=schema,
        equal=conditions.of_table(sought.equal, mine),
        bounded=conditions.of_table(sought.bounded, mine),
    )


def indexes(connection: Any, sql: str, wasteful: Sequence[Step]) -> tuple[tuple[Index, ...], tuple[Note, ...]]:
    """An index for each wasteful scan, unless there is one that begins with its columns."""
    found: dict[Index, None] = {}
    notes = []
    for step in wasteful:
        if not step.equal and not step.bounded:
            notes.append(NO_PLAIN_INDEX(table=step.table))
            continue
        with _read_only(connection, 30_000) as cursor:
            existing = _leading(cursor, step)
            columns = _columns(cursor, step)
        if any(lead[: len(columns)] == list(columns) for lead in existing):
            notes.append(INDEX_UNUSED(table=step.table, columns=columns, database="PostgreSQL"))
            continue
        found[Index(str(step.table), columns, step.schema)] = None
    return tuple(found), tuple(notes)


_INDEX_COLUMNS = """
SELECT i.indexrelid, a.attname FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
WHERE n.nspname = %s AND c.relname = %s AND i.indisvalid AND i.indpred IS NULL ORDER BY 1, k.place
"""


def _leading(cursor: Any, step: Step) -> list[list[str]]:
    cursor.execute(_INDEX_COLUMNS, (step.schema, step.table))
    found: dict[int, list[str]] = {}
    for index, column in cursor.fetchall():
        found.setdefault(index, []).append(column)
    return list(found.values())


def _columns(cursor: Any, step: Step) -> tuple[str, ...]:
    """The columns fixed by equality, those with more different values first (as the statistics have it) and no more than
    it takes to leave a few rows; then one that is bounded."""
    cursor.execute(
        "SELECT attname, n_distinct FROM pg_catalog.pg_stats WHERE schemaname = %s AND tablename = %s",
        (step.schema, step.table),
    )
    different = {name: float(n) if n >= 0 else -float(n) * step.reads for name, n in cursor.fetchall()}
    chosen: list[str] = []
    left = step.reads
    for column in sorted(step.equal, key=lambda c: -different.get(c, 1.0)):
        chosen.append(column)
        left /= max(different.get(column, 1.0), 1.0)
        if left <= FEW_ROWS:
            return tuple(chosen)
    return (*chosen, *step.bounded[:1])
