"""Query plans: how the database answers a statement, which table it reads from end to end, and the index that would avoid it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from perflab.notes import PYTHON, Note, written
from perflab.queries import plan_postgresql, plan_sqlite
from perflab.queries.findings_notes import NOTHING_TO_PROVE
from perflab.queries.plan_advice import Answer, Index, InnerLoop, Step, checked, driver_of
from perflab.queries.proofs import Proof, proved
from perflab.results import Result, Shown
from perflab.units import format_fraction, format_ms, format_number, parse_duration

Parameters = Sequence[Any] | Mapping[str, Any] | None

MANY_ROWS = 1_000
SELECTIVE = 0.1


@dataclass(frozen=True, eq=False, repr=False)
class QueryPlan(Result):
    """A query plan as a table, and the indexes that would serve it.

    ``table``: step, parent, operation, table, index, condition (values as ``?``), reads (rows of the table), keeps (rows
    that are left), loops, time_ms (missing unless it ran), full_scan. ``indexes``: each an `Index` with ``statement``, the
    SQL that would create it. ``time_ms``: how long the statement took, where it was run. ``proof``: what the indexes gave,
    where they were tried.
    """

    sentence: str
    table: pd.DataFrame
    indexes: tuple[Index, ...] = ()
    time_ms: float = math.nan
    warnings: tuple[Note, ...] = ()
    proof: Proof | None = None

    def show(self, surface: str = PYTHON) -> Shown:
        """The steps, indented below the step that takes their rows; then the indexes and the notes."""
        depth = _depths(self.table)
        steps = [f"{'· ' * d}{text}" for d, text in zip(depth, self.table["operation"], strict=True)]
        table = self.table.assign(operation=steps).drop(columns=["step", "parent", "full_scan"])
        indexes = tuple(index.statement for index in self.indexes)
        return Shown(
            self.sentence, table.dropna(axis="columns", how="all"), indexes + written(self.warnings, surface), ours=True
        )


def explain(
    connection: Any,
    sql: str,
    parameters: Parameters = None,
    *,
    analyze: bool = False,
    prove: bool = False,
    many_rows: int = MANY_ROWS,
    selective: float = SELECTIVE,
    timeout: str | float = "30s",
) -> QueryPlan:
    """The plan of a statement, the tables it reads from end to end for few rows, and the index that would serve.

    Nothing stays written: without ``analyze`` the statement isn't run at all; with it, only a SELECT is, in a read-only
    transaction that is rolled back. With ``prove`` the advised indexes are tried, too. A statement from a log may keep its
    placeholders (``?``, ``$1``, ``%s``): without ``parameters`` it is planned for any value.

    Parameters
    ----------
    connection : connection
        An open connection to SQLite (sqlite3) or PostgreSQL (psycopg, psycopg2), or SQLAlchemy's around one.
    sql : str
        One statement.
    parameters : sequence or mapping, optional
        Its values, as the driver takes them.
    analyze : bool
        Run it too, for real row counts and times.
    prove : bool
        Create the advised indexes in a transaction, run the statement with and without them, and roll back. Writers of the
        table wait meanwhile. It gives up when a lock takes longer than 1 s, or a step longer than ``timeout``. PostgreSQL and
        SQLite only: in MySQL and MariaDB an index can't be rolled back.
    many_rows, selective : int, float
        A full scan is named when it reads at least so many rows and keeps at most this share.
    timeout : str or float
        The longest that a run may take, as "30s" or a number of seconds.

    Returns
    -------
    QueryPlan
        Shows itself; ``table``, ``indexes``, ``time_ms`` (missing unless run), ``warnings``. Values of the statement are
        not in it.

    Raises
    ------
    ValueError
        Several statements in one; with ``analyze`` or ``prove``, one that is no SELECT; with ``prove``, an open transaction; an
        unknown driver. The driver's own exceptions
        pass through.

    Examples
    --------
    >>> import perflab as lab, sqlite3
    >>> shop = sqlite3.connect(":memory:")
    >>> _ = shop.execute("CREATE TABLE parcel (id INTEGER PRIMARY KEY, tracking TEXT)")
    >>> _ = shop.executemany("INSERT INTO parcel (tracking) VALUES (?)", [(f"PX{i}",) for i in range(2000)])
    >>> plan = lab.explain(shop, "SELECT id FROM parcel WHERE tracking = ?", ["PX7"])
    >>> plan.indexes[0].statement
    'CREATE INDEX "ix_parcel_tracking" ON "parcel" ("tracking")'
    """
    driver, raw = driver_of(connection)
    timeout_ms = parse_duration(timeout, parameter="timeout")
    checked(sql, driver, run=analyze or prove)
    module = plan_sqlite if driver == "sqlite" else plan_postgresql
    answer = module.plan(raw, sql, parameters, analyze=analyze or prove, timeout_ms=timeout_ms)
    wasteful = [s for s in answer.steps if s.full_scan and s.reads >= many_rows and s.keeps <= selective * s.reads]
    indexes, notes = module.indexes(raw, sql, wasteful)
    sentence, notes = _sentence(wasteful, answer, many_rows), (*answer.notes, *notes)
    if not prove:
        return QueryPlan(sentence, _table(answer.steps), indexes, answer.time_ms, notes)
    found = proved(raw, driver, sql, parameters, indexes, timeout_ms) if indexes else NOTHING_TO_PROVE()
    if isinstance(found, Proof):
        text = f"{sentence}; {_of_proof(found)}"
        return QueryPlan(text, _table(answer.steps), indexes, answer.time_ms, notes, found)
    return QueryPlan(sentence, _table(answer.steps), indexes, answer.time_ms, (*notes, found))


def _of_proof(proof: Proof) -> str:
    if not proof.used:
        return "the database does not use the advised index"
    return f"with the advised index {format_ms(proof.after_ms)} instead of {format_ms(proof.before_ms)} (tried, rolled back)"


def _sentence(wasteful: Sequence[Step], answer: Answer, many_rows: int) -> str:
    steps, time_ms = answer.steps, answer.time_ms
    ran = "" if math.isnan(time_ms) else f"; it took {format_ms(time_ms)}"
    if answer.loops:
        return _of_loops(answer.loops) + ran
    if not wasteful:
        scans = sum(s.full_scan for s in steps)
        whole = [s for s in steps if s.table and not s.condition and s.keeps >= many_rows and _to_the_end(s, steps)]
        if whole:
            most = max(whole, key=lambda s: s.keeps)
            read = f"reads all rows of {most.table}, on which it has no condition"
            return f"{read}: only an index in the order of a LIMIT would stop that sooner{ran}"
        return ("no table is read from end to end" if not scans else "no wasteful full scan found") + ran
    worst = max(wasteful, key=lambda s: s.reads)
    more = f", and {len(wasteful) - 1} more like it" if len(wasteful) > 1 else ""
    share = format_fraction(worst.keeps / worst.reads)
    return (
        f"reads all {format_number(round(worst.reads))} rows of {worst.table} to keep {format_number(round(worst.keeps))} "
        f"({share}){more}{ran}"
    )


def _of_loops(loops: Sequence[InnerLoop]) -> str:
    worst = max(loops, key=lambda loop: (loop.outer_rows, loop.inner_rows))
    rows = "" if math.isnan(worst.inner_rows) else f" (about {format_number(round(worst.inner_rows))} rows)"
    times = "row" if math.isnan(worst.outer_rows) else f"of up to {format_number(round(worst.outer_rows))} rows"
    return f"reads all of {worst.inner}{rows} once for each {times} of {worst.outer}"


def _to_the_end(step: Step, steps: Sequence[Step]) -> bool:
    """Whether what is above the step takes all of its rows: no LIMIT does, but for one above a sort or an aggregate."""
    above = {s.step: s for s in steps}
    parent = step.parent
    while parent is not None and parent in above:
        if above[parent].operation.startswith(("Sort", "Aggregate", "Hash")):
            return True
        if above[parent].operation.startswith("Limit"):
            return False
        parent = above[parent].parent
    return True


def _table(steps: Sequence[Step]) -> pd.DataFrame:
    rows = [
        (
            s.step,
            s.parent,
            s.operation,
            s.table,
            s.index,
            s.condition,
            s.reads,
            s.keeps,
            s.loops,
            s.time_ms,
            s.full_scan,
        )
        for s in steps
    ]
    names = (
        "step",
        "parent",
        "operation",
        "table",
        "index",
        "condition",
        "reads",
        "keeps",
        "loops",
        "time_ms",
        "full_scan",
    )
    table = pd.DataFrame(rows, columns=list(names))
    kinds = dict.fromkeys(("operation", "table", "index", "condition"), "str") | dict.fromkeys(
        ("step", "parent"), "Int64"
    )
    return table.astype(
        kinds | dict.fromkeys(("reads", "keeps", "loops", "time_ms"), "float64") | {"full_scan": "bool"}
    )


def _depths(table: pd.DataFrame) -> list[int]:
    depth: dict[int, int] = {}
    for step, parent in zip(table["step"], table["parent"], strict=True):
        depth[step] = 0 if parent is pd.NA else depth.get(parent, -1) + 1
    return list(depth.values())
