"""Records the statements of an SQLAlchemy engine, each with its request.

    from perflab.recorders.sqlalchemy import record_queries
    record_queries(engine)                 # writes where PERFLAB_QUERY_LOG says, or does nothing

Then ``lab.read("queries.jsonl").queries`` and ``lab.find_n_plus_one``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import event

from perflab.recorders import context as current
from perflab.recorders import lines
from perflab.recorders.callsite import call_site, wanted
from perflab.recorders.log import QueryLog

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

VARIABLE = "PERFLAB_QUERY_LOG"

_logs: WeakKeyDictionary[Any, dict[Path, QueryLog]] = WeakKeyDictionary()


def record_queries(
    engine: Engine | AsyncEngine,
    path: str | os.PathLike[str] | None = None,
    redact: bool = True,
    *,
    source: bool = False,
) -> QueryLog | None:
    """Append every statement of ``engine`` to the file ``path``, as lines of JSON.

    Without ``path`` the environment variable PERFLAB_QUERY_LOG names the file; without either, nothing is recorded or
    hooked and None is returned, so the call may stay in production code.

    A line has start (seconds since 1970), duration_ms (the driver's execute, not the fetching of rows), sql,
    parameters, unit and route (from `perflab.recorders.context`), rows where the driver knows them (SQLite's
    does not for a SELECT), ``executions`` for an executemany (with the parameters of its first set) and, for a failed
    statement, ``error``, the class of the driver's exception. Outside a unit of work ``session`` names the connection.

    ``redact=True`` writes keyed hashes in place of the parameters: equal values stay equal, and no value can be
    read. Literals inside the SQL text are kept. ``source=True``, or PERFLAB_QUERY_SOURCE=1 in the environment, adds file
    and line of the caller, at the cost of walking the stack for each statement.

    Thread-safe. A file that cannot be written stops the recording, never the application; the logger
    ``perflab.recorders`` reports it. Recording an engine to the same file again returns the same log.
    """
    chosen = path if path is not None else os.environ.get(VARIABLE)
    if not chosen:
        return None
    hooked: Any = engine
    sync_engine: Engine = getattr(hooked, "sync_engine", hooked)
    logs = _logs.setdefault(sync_engine, {})
    where = Path(chosen).absolute()
    known = logs.get(where)
    if known is not None and known.recording:
        return known
    logs[where] = log = QueryLog(where)
    listen(sync_engine, log, redact=redact, source=wanted(source))
    return log


def listen(engine: Any, log: QueryLog, *, redact: bool, source: bool) -> Callable[[], None]:
    """Record an engine, or all of them if it is the class ``Engine``, to an open log; return a function that stops it."""

    def before(connection: Any, cursor: Any, sql: str, parameters: Any, context: Any, many: bool) -> None:
        context._perflab_start = time.time(), time.perf_counter()

    def after(connection: Any, cursor: Any, sql: str, parameters: Any, context: Any, many: bool) -> None:
        if log.recording:
            count = getattr(cursor, "rowcount", None)
            rows = count if isinstance(count, int) and count >= 0 else None
            record(connection, sql, parameters, context, many, rows=rows)

    def failed(problem: Any) -> None:
        context = problem.execution_context
        if log.recording and problem.statement is not None and hasattr(context, "_perflab_start"):
            error = type(problem.original_exception).__name__
            record(problem.connection, problem.statement, problem.parameters, context, context.executemany, error=error)

    def record(
        connection: Any,
        sql: str,
        parameters: Any,
        context: Any,
        many: bool,
        rows: int | None = None,
        error: str | None = None,
    ) -> None:
        ended = time.perf_counter()
        start, began = context._perflab_start
        unit = current.current_unit()
        # insertmanyvalues sends the rows of an executemany as one statement with one flat set of parameters
        sets = parameters if many and isinstance(parameters, (list, tuple)) else ()
        several = bool(sets) and isinstance(sets[0], (tuple, list, dict))
        log.write(
            lines.line(
                start,
                (ended - began) * 1e3,
                sql,
                parameters[0] if several else parameters,
                redact=redact,
                unit=unit,
                route=current.current_route(),
                rows=rows,
                executions=len(parameters) if several else None,
                error=error,
                session=None if unit else _session(connection),
                source=call_site("sqlalchemy") if source else None,
            )
        )

    hooks: tuple[tuple[str, Callable[..., None]], ...] = (
        ("before_cursor_execute", before),
        ("after_cursor_execute", after),
        ("handle_error", failed),
    )
    for name, hook in hooks:
        event.listen(engine, name, hook)

    def end() -> None:
        for name, hook in hooks:
            event.remove(engine, name, hook)

    return end


def _session(connection: Any) -> str | None:
    """An id for the database connection, which stays with it in the pool."""
    if connection is None or connection.closed:
        return None
    known = connection.info.get("perflab_session")
    if known is None:
        known = connection.info["perflab_session"] = current.request_id()[:12]
    return str(known)
