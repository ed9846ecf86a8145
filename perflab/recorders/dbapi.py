"""Records the statements of any DB-API driver (PEP 249) by wrapping its ``connect``.

    import sqlite3
    from perflab.recorders.dbapi import recorded
    connect = recorded(sqlite3.connect, "queries.jsonl")      # then use it in place of sqlite3.connect

Its connections and cursors behave like the driver's: what they do not record is passed through.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from perflab.recorders import context as current
from perflab.recorders import lines, timing
from perflab.recorders.callsite import call_site, wanted
from perflab.recorders.log import QueryLog

VARIABLE = "PERFLAB_QUERY_LOG"

_DRIVERS = ("sqlite3", "psycopg", "psycopg2", "pymysql", "MySQLdb", "mysql", "oracledb", "pyodbc", "peewee")
_TRANSACTION = ("commit", "rollback")


def recorded(
    connect: Callable[..., Any],
    path: str | os.PathLike[str] | None = None,
    redact: bool = True,
    *,
    source: bool = False,
) -> Callable[..., Any]:
    """Wrap ``connect`` so that its connections append each statement to the file ``path``, as lines of JSON.

    Without ``path`` the environment variable PERFLAB_QUERY_LOG names the file; without either, ``connect`` itself is
    returned, so the call may stay in production code. (With PERFLAB_REQUEST_LOG the statements count for the request recorder.)

    A line has start (seconds since 1970), duration_ms (the driver's execute, not the fetching of rows), sql, parameters,
    unit and route (from `perflab.recorders.context`), rows where the driver knows them, ``executions`` for an executemany
    (with the parameters of its first set), ``session`` (the connection) and ``error``, the class of the exception.
    ``commit()`` and ``rollback()`` have lines of their own. ``redact=True`` writes keyed hashes in place of parameters;
    literals inside the SQL text are kept. ``source=True``, or PERFLAB_QUERY_SOURCE=1 in the environment, adds file and line
    of the caller.
    """
    chosen = path if path is not None else os.environ.get(VARIABLE)
    if not chosen and not os.environ.get(timing.VARIABLE):
        return connect
    log, source = QueryLog(chosen) if chosen else None, wanted(source)

    def connect_recorded(*arguments: Any, **options: Any) -> RecordedConnection:
        return RecordedConnection(connect(*arguments, **options), log, redact=redact, source=source)

    connect_recorded.log = log  # type: ignore[attr-defined]
    return connect_recorded


class _Recorder:
    """Shared by a connection and its cursors: the log, and the format of its lines."""

    def __init__(self, log: QueryLog | None, *, redact: bool, source: bool) -> None:
        self.log = log
        self.redact = redact
        self.source = source
        self.session = current.request_id()[:12]

    def call(self, run: Callable[..., Any], cursor: Any, sql: str, parameters: Any, many: bool, *rest: Any) -> Any:
        """Run it and write its line, even when it fails."""
        timed = timing.begin(timing.DATABASE)
        start, began = time.time(), time.perf_counter()
        try:
            result = run(*rest)
        except BaseException as problem:
            timing.end(timed, timing.DATABASE, sql)
            self.write(start, began, sql, parameters, many, None, type(problem).__name__)
            raise
        timing.end(timed, timing.DATABASE, sql)
        self.write(start, began, sql, parameters, many, cursor if cursor is not None else result, None)
        return result

    def write(
        self, start: float, began: float, sql: str, parameters: Any, many: bool, cursor: Any, error: str | None
    ) -> None:
        if self.log is None or not self.log.recording:
            return
        took = (time.perf_counter() - began) * 1e3
        count = getattr(cursor, "rowcount", None)
        sets = parameters if isinstance(parameters, (list, tuple)) else None  # a generator is for the driver to consume
        first = (sets[0] if sets else None) if many else parameters
        self.log.write(
            lines.line(
                start, took, sql, first if isinstance(first, (list, tuple, dict)) else None, redact=self.redact,
                unit=current.current_unit(), route=current.current_route(),
                rows=count if isinstance(count, int) and 0 <= count < 2**63 else None,
                executions=len(sets) if many and sets is not None else None, error=error, session=self.session,
                source=call_site(*_DRIVERS) if self.source else None,
            )
        )  # fmt: skip


def _text(sql: Any) -> str:
    """The statement as text: drivers also take bytes, and psycopg its composed statements."""
    if isinstance(sql, str):
        return sql
    if isinstance(sql, (bytes, bytearray)):
        return bytes(sql).decode("utf-8", "replace")
    composed = getattr(sql, "as_string", None)
    if composed is not None and type(sql).__module__.startswith("psycopg"):
        return str(composed(None))
    return f"<{type(sql).__name__}>"


class RecordedCursor:
    """A cursor that records ``execute``, ``executemany``, ``executescript`` and ``callproc``; the rest is passed through."""

    def __init__(self, cursor: Any, recorder: _Recorder) -> None:
        self.__dict__["_cursor"] = cursor
        self.__dict__["_recorder"] = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._cursor, name, value)

    def execute(self, sql: Any, *parameters: Any, **options: Any) -> Any:
        return self._run("execute", sql, parameters, options, many=False)

    def executemany(self, sql: Any, *parameters: Any, **options: Any) -> Any:
        return self._run("executemany", sql, parameters, options, many=True)

    def executescript(self, sql: str) -> Any:
        return self._run("executescript", sql, (), {}, many=False)

    def callproc(self, name: str, *parameters: Any) -> Any:
        run = self._cursor.callproc
        return self._recorder.call(
            lambda: run(name, *parameters), self._cursor, f"CALL {name}", *parameters[:1] or (None,), False
        )

    def _run(self, method: str, sql: Any, parameters: tuple[Any, ...], options: dict[str, Any], *, many: bool) -> Any:
        run = getattr(self._cursor, method)
        given = parameters[0] if parameters else next((options[n] for n in ("params", "args") if n in options), None)
        result = self._recorder.call(lambda: run(sql, *parameters, **options), self._cursor, _text(sql), given, many)
        return self if result is self._cursor else result

    def __enter__(self) -> RecordedCursor:
        self._cursor.__enter__()
        return self

    def __exit__(self, *problem: Any) -> Any:
        return self._cursor.__exit__(*problem)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __next__(self) -> Any:
        return next(self._cursor)


class RecordedConnection:
    """A connection whose cursors record; the rest is passed through."""

    def __init__(self, connection: Any, log: QueryLog | None, *, redact: bool = True, source: bool = False) -> None:
        self.__dict__["_connection"] = connection
        self.__dict__["_recorder"] = _Recorder(log, redact=redact, source=source)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._connection, name)
        if name in ("execute", "executemany", "executescript"):  # sqlite3's and psycopg's shortcuts
            return lambda sql, *rest, **options: self._short(value, sql, rest, options, many=name == "executemany")
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._connection, name, value)

    def cursor(self, *arguments: Any, **options: Any) -> RecordedCursor:
        return RecordedCursor(self._connection.cursor(*arguments, **options), self._recorder)

    def commit(self) -> Any:
        return self._recorder.call(self._connection.commit, None, "COMMIT", None, False)

    def rollback(self) -> Any:
        return self._recorder.call(self._connection.rollback, None, "ROLLBACK", None, False)

    def _short(self, run: Any, sql: Any, rest: tuple[Any, ...], options: dict[str, Any], *, many: bool) -> Any:
        given = rest[0] if rest else options.get("params")
        cursor = self._recorder.call(lambda: run(sql, *rest, **options), None, _text(sql), given, many)
        return RecordedCursor(cursor, self._recorder)

    def __enter__(self) -> RecordedConnection:
        self._connection.__enter__()
        return self

    def __exit__(self, *problem: Any) -> Any:
        return self._connection.__exit__(*problem)
