"""What database servers count by themselves: statements since their last reset, and what sessions are waiting for now.

PostgreSQL: https://www.postgresql.org/docs/current/pgstatstatements.html,
https://www.postgresql.org/docs/current/monitoring-stats.html. MySQL and MariaDB:
https://dev.mysql.com/doc/refman/8.4/en/performance-schema-statement-summary-tables.html
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from perflab.errors import TargetError

_MARK = "/* perflab */"
_TIMEOUT_S = 5


class Source(Protocol):
    """One kind of server. ``columns`` are the statistics of a statement, with their units; the first is the number of calls."""

    columns: tuple[tuple[str, str], ...]
    sessions: str

    def connected(self, dsn: str) -> contextlib.AbstractContextManager[Any]:
        """A connection in autocommit."""

    def counts(self, connection: Any) -> dict[Any, tuple[Any, ...]]:
        """For each statement its text and its counts, without perflab's own."""

    def state(self, connection: Any) -> tuple[int, object]:
        """How many entries were dropped since the last reset, and what a reset changes."""

    def waits(self, connection: Any) -> list[tuple[str, str, int]]:
        """Sessions by what they are waiting for: kind, event, count."""


class PostgreSQL:
    """``pg_stat_statements`` and ``pg_stat_activity``, by psycopg."""

    sessions = "postgresql_active_sessions"
    _columns = (
        ("count", "calls", ""),
        ("total", "total_exec_time", "ms"),
        ("plan", "total_plan_time", "ms"),
        ("rows", "rows", ""),
        ("blocks_hit", "shared_blks_hit", ""),
        ("blocks_read", "shared_blks_read", ""),
        ("blocks_written", "shared_blks_written", ""),
        ("temp_blocks_written", "temp_blks_written", ""),
        ("wal", "wal_bytes", "bytes"),
    )
    columns = tuple((name, unit) for name, _, unit in _columns)
    _statements = f"""
SELECT {_MARK} s.queryid, s.query, {", ".join(f"s.{column}::float8" for _, column, _ in _columns)}
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()"""
    _waits = f"""
SELECT {_MARK} coalesce(wait_event_type, 'CPU'), coalesce(wait_event, 'running'), count(*)
FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() GROUP BY 1, 2"""

    def connected(self, dsn: str) -> contextlib.AbstractContextManager[Any]:
        try:
            import psycopg
        except ImportError:
            raise TargetError("Target: database needs psycopg: pip install 'psycopg[binary]'") from None
        found: contextlib.AbstractContextManager[Any] = psycopg.connect(
            dsn, autocommit=True, connect_timeout=_TIMEOUT_S, application_name="perflab"
        )
        return found

    def counts(self, connection: Any) -> dict[Any, tuple[Any, ...]]:
        rows = connection.execute(self._statements).fetchall()
        return {row[0]: tuple(row[1:]) for row in rows if _MARK not in str(row[1])}

    def state(self, connection: Any) -> tuple[int, object]:
        dropped, reset = connection.execute(
            f"SELECT {_MARK} dealloc, stats_reset FROM pg_stat_statements_info"
        ).fetchone()
        return int(dropped), reset

    def waits(self, connection: Any) -> list[tuple[str, str, int]]:
        return [(str(k), str(e), int(n)) for k, e, n in connection.execute(self._waits).fetchall()]


class MySQL:
    """The statement digests of ``performance_schema`` and the process list, by PyMySQL; MariaDB has both."""

    sessions = "mysql_active_sessions"
    _columns = (
        ("count", "COUNT_STAR", "", 1),
        # Picoseconds.
        ("total", "SUM_TIMER_WAIT", "ms", 1e-9),
        ("lock", "SUM_LOCK_TIME", "ms", 1e-9),
        ("rows", "SUM_ROWS_SENT", "", 1),
        ("rows_examined", "SUM_ROWS_EXAMINED", "", 1),
        ("rows_affected", "SUM_ROWS_AFFECTED", "", 1),
        ("without_index", "SUM_NO_INDEX_USED", "", 1),
        ("temp_tables_on_disk", "SUM_CREATED_TMP_DISK_TABLES", "", 1),
    )
    columns = tuple((name, unit) for name, _, unit, _ in _columns)
    _statements = f"""
SELECT DIGEST, DIGEST_TEXT, {", ".join(column for _, column, _, _ in _columns)}
FROM performance_schema.events_statements_summary_by_digest WHERE SCHEMA_NAME = DATABASE() AND DIGEST IS NOT NULL"""
    _waits = """
SELECT COALESCE(NULLIF(STATE, ''), 'running'), COUNT(*) FROM information_schema.PROCESSLIST
WHERE DB = DATABASE() AND COMMAND NOT IN ('Sleep', 'Daemon') AND ID <> CONNECTION_ID() GROUP BY 1"""
    # A digest has no comments: perflab's own statements are known by their tables.
    _own = ("events_statements_summary_by_digest", "PROCESSLIST", "@@")

    @contextlib.contextmanager
    def connected(self, dsn: str) -> Iterator[Any]:
        try:
            import pymysql
        except ImportError:
            raise TargetError("Target: database needs PyMySQL: pip install pymysql") from None
        url = urlsplit(dsn)
        options = parse_qs(url.query)
        connection = pymysql.connect(
            host=url.hostname or "127.0.0.1",
            port=url.port or 3306,
            user=unquote(url.username or options.get("user", [""])[0]) or None,
            password=unquote(url.password or options.get("password", [""])[0]),
            database=unquote(url.path.strip("/")) or None,
            unix_socket=options.get("unix_socket", [None])[0],
            ssl=ssl.create_default_context() if options.keys() & {"ssl", "ssl_ca", "tls"} else None,
            autocommit=True,
            connect_timeout=_TIMEOUT_S,
            read_timeout=_TIMEOUT_S,
        )
        try:
            yield connection
        finally:
            connection.close()

    def counts(self, connection: Any) -> dict[Any, tuple[Any, ...]]:
        factors = [factor for *_, factor in self._columns]
        found = {}
        for digest, text, *counts in _rows(connection, self._statements):
            if not any(own in str(text) for own in self._own):
                found[digest] = (text, *(float(n) * factor for n, factor in zip(counts, factors, strict=True)))
        return found

    def state(self, connection: Any) -> tuple[int, object]:
        ((on,),) = _rows(connection, "SELECT @@performance_schema")
        if not on:
            raise TargetError("performance_schema is off: start the server with performance_schema=ON")
        lost = _rows(connection, "SHOW GLOBAL STATUS LIKE 'Performance_schema_digest_lost'")
        # A statement that was first seen later than before means that the table was emptied.
        ((first,),) = _rows(
            connection, "SELECT MIN(FIRST_SEEN) FROM performance_schema.events_statements_summary_by_digest"
        )
        return int(lost[0][1]) if lost else 0, first

    def waits(self, connection: Any) -> list[tuple[str, str, int]]:
        return [("state", str(state), int(count)) for state, count in _rows(connection, self._waits)]


def _rows(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def source_of(dsn: str) -> Source:
    """Which kind of server a connection string names.

    >>> type(source_of("mysql://shop@db/shop")).__name__, type(source_of("host=db dbname=shop")).__name__
    ('MySQL', 'PostgreSQL')
    """
    scheme = urlsplit(dsn).scheme.partition("+")[0].lower()
    return MySQL() if scheme in ("mysql", "mariadb") else PostgreSQL()
