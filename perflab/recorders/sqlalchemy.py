"""Record the queries of an application that uses SQLAlchemy 2 (sync or async engines).

    from perflab.recorders.sqlalchemy import record_queries

    record_queries(engine)                      # where PERFLAB_QUERY_LOG says, and nowhere without it
    record_queries(engine, "queries.jsonl")

Each statement becomes a JSON line: start, duration_ms, sql, parameters, rows, unit, route, source. Read them with
``perflab.read("queries.jsonl")``. SQLAlchemy's events: https://docs.sqlalchemy.org/en/20/core/events.html
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import event

from perflab.recorders import context
from perflab.recorders.journal import Journal, Redaction

ENVIRONMENT = "PERFLAB_QUERY_LOG"
_MAX_PARAMETERS = 100
_STARTED = "perflab_started"


def record_queries(
    engine: Any, path: str | Path | None = None, *, redact: bool = True, source: bool = False
) -> Journal | None:
    """Write every statement of an engine to a file of JSON lines.

    Parameters
    ----------
    engine : a SQLAlchemy Engine or AsyncEngine.
    path : the file to append to; by default the one that the environment variable PERFLAB_QUERY_LOG names, which
        perflab sets for a ``Target(record_queries=True)``. With neither, nothing is recorded.
    redact : write keyed hashes in place of parameters: an N+1 can still be told from a repeated query, and no
        customer's data leave the process. False writes the values.
    source : also note the line of the application that sent the statement (costs a walk up the stack).

    Returns
    -------
    The journal, whose ``close()`` writes the rest (it also does so at exit); None when nothing is recorded.
    """
    chosen = path or os.environ.get(ENVIRONMENT)
    if not chosen:
        return None
    journal, hide = Journal(chosen), Redaction().hashed if redact else None
    sync_engine = getattr(engine, "sync_engine", engine)

    def before(conn: Any, cursor: Any, statement: str, parameters: Any, ctx: Any, executemany: bool) -> None:
        conn.info[_STARTED] = (time.time(), time.perf_counter())

    def after(conn: Any, cursor: Any, statement: str, parameters: Any, ctx: Any, executemany: bool) -> None:
        _add(conn, statement, parameters, executemany, rows=getattr(cursor, "rowcount", -1))

    def failed(exception_context: Any) -> None:
        if exception_context.connection is not None and exception_context.statement:
            _add(
                exception_context.connection, exception_context.statement, exception_context.parameters, False, rows=-1
            )

    def _add(conn: Any, statement: str, parameters: Any, executemany: bool, rows: int) -> None:
        started = conn.info.pop(_STARTED, None)
        if started is None:
            return
        record: dict[str, Any] = {
            "start": started[0],
            "duration_ms": (time.perf_counter() - started[1]) * 1e3,
            "sql": statement,
            "parameters": _parameters(parameters, executemany, hide),
        }
        work = context.current()
        if work is not None:
            record["unit"], record["route"] = work
        if rows >= 0:
            record["rows"] = rows
        if source:
            record["source"] = _source()
        journal.add(record)

    event.listen(sync_engine, "before_cursor_execute", before)
    event.listen(sync_engine, "after_cursor_execute", after)
    event.listen(sync_engine, "handle_error", failed)
    return journal


def _parameters(parameters: Any, executemany: bool, hide: Any) -> list[Any]:
    """The values in order; of a batch, how many sets there were and the first one."""
    if executemany and isinstance(parameters, (list, tuple)):
        first = _parameters(parameters[0], False, hide) if parameters else []
        return [f"<{len(parameters)} sets>", *first]
    values = list(parameters.values()) if isinstance(parameters, dict) else list(parameters or ())
    kept = values[:_MAX_PARAMETERS]
    if hide is not None:
        return [hide(value) for value in kept]
    return [value if isinstance(value, (int, float, str, bool, type(None))) else str(value) for value in kept]


def _source() -> str | None:
    """The innermost line outside SQLAlchemy and this file."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if "sqlalchemy" not in name and name != __file__ and not name.startswith("<"):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return None
