"""A PostgreSQL server's own counts during a run: ``pg_stat_statements`` before and after it, and the waits of its sessions.

https://www.postgresql.org/docs/current/pgstatstatements.html, https://www.postgresql.org/docs/current/monitoring-stats.html
The sums cover all users of the database: give a run its own server. perflab's own statements are left out.
"""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import pandas as pd

from perflab.errors import TargetError
from perflab.notes import TARGET, YOU, Kind, Note

NOT_COUNTED = Kind("server-statements-unread", YOU, "the database's own counts are missing: {problem:raw}")
RESET = Kind(
    "server-statements-reset",
    TARGET,
    "pg_stat_statements was reset during the run, so its counts cover only the time after",
)
EVICTED = Kind(
    "server-statements-evicted",
    TARGET,
    "pg_stat_statements dropped {entries:entry} during the run (pg_stat_statements.max is too small); counts of rare statements "
    "are missing",
)
_MARK = "/* perflab */"
_EVERY_S = 0.1
_COUNTS = (
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
_STATEMENTS = f"""
SELECT {_MARK} s.queryid, s.query, {", ".join(f"s.{column}::float8" for _, column, _ in _COUNTS)}
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()"""
_STATE = f"SELECT {_MARK} dealloc, stats_reset FROM pg_stat_statements_info"
_WAITS = f"""
SELECT {_MARK} coalesce(wait_event_type, 'CPU'), coalesce(wait_event, 'running'), count(*)
FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() GROUP BY 1, 2"""


class ServerStatements:
    """Reads the counts before and after a ``with`` block around the load. Errors become notes and are never raised."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._before: dict[Any, tuple[Any, ...]] = {}
        self._after: dict[Any, tuple[Any, ...]] = {}
        self._waits: list[tuple[datetime, str, str, int]] = []
        self._notes: list[Note] = []
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._state: tuple[Any, ...] | None = None

    def __enter__(self) -> ServerStatements:
        self._tried(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join(5.0)
        if self._state is not None:
            self._tried(self._finish)

    @property
    def warnings(self) -> tuple[Note, ...]:
        """Notes on what is missing, and why."""
        return tuple(self._notes)

    def summary(self) -> pd.DataFrame:
        """The run's statements as rows of the ``summary`` table: endpoint (the statement), statistic, value, unit."""
        rows = []
        for key, after in self._after.items():
            before = self._before.get(key, (None, *(0.0 for _ in _COUNTS)))
            # A statement whose entry was evicted and created again starts from zero.
            fresh = after[1] < before[1]
            values = [
                float(a or 0.0) - (0.0 if fresh else float(b or 0.0))
                for a, b in zip(after[1:], before[1:], strict=True)
            ]
            if values[0] > 0 and _MARK not in str(after[0]):
                rows += [
                    {"endpoint": str(after[0]), "statistic": name, "value": value, "unit": unit}
                    for (name, _, unit), value in zip(_COUNTS, values, strict=True)
                ]
        return pd.DataFrame(rows, columns=["endpoint", "statistic", "value", "unit"])

    def waits(self) -> pd.DataFrame:
        """Samples of how many sessions waited for what, as rows of the ``metrics`` table."""
        return pd.DataFrame(
            {
                "time": pd.to_datetime([at for at, *_ in self._waits], utc=True),
                "name": "postgresql_active_sessions",
                "labels": [{"type": kind, "event": event} for _, kind, event, _ in self._waits],
                "value": [float(count) for *_, count in self._waits],
            }
        )

    def _tried(self, do: Any) -> None:
        try:
            do()
        except Exception as problem:  # noqa: BLE001 - no error of the driver or server may stop the load
            self._notes.append(NOT_COUNTED(problem=without_password(re.sub(r"\s+", " ", str(problem)))))

    def _begin(self) -> None:
        with _connected(self._dsn) as connection:
            self._state = _state(connection)
            self._before = _counts(connection)
        self._thread = threading.Thread(target=lambda: self._tried(self._sample), name="perflab-waits", daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        with _connected(self._dsn) as connection:
            while not self._end.wait(_EVERY_S):
                now = datetime.now(UTC)
                found = connection.execute(_WAITS).fetchall()
                self._waits += [(now, str(kind), str(event), int(count)) for kind, event, count in found]

    def _finish(self) -> None:
        with _connected(self._dsn) as connection:
            self._after = _counts(connection)
            state = _state(connection)
        if self._state and state[1] != self._state[1]:
            self._before = {}
            self._notes.append(RESET())
        elif self._state and state[0] > self._state[0]:
            self._notes.append(EVICTED(entries=state[0] - self._state[0]))


def _connected(dsn: str) -> Any:
    try:
        import psycopg
    except ImportError:
        raise TargetError("Target: database needs psycopg: pip install 'psycopg[binary]'") from None
    return psycopg.connect(dsn, autocommit=True, connect_timeout=5, application_name="perflab")


def _counts(connection: Any) -> dict[Any, tuple[Any, ...]]:
    return {row[0]: tuple(row[1:]) for row in connection.execute(_STATEMENTS).fetchall()}


def _state(connection: Any) -> tuple[Any, ...]:
    return tuple(connection.execute(_STATE).fetchone())


def without_password(dsn: str) -> str:
    """A connection string without its password.

    >>> without_password("postgresql://shop:secret@db/shop"), without_password("host=db password='a b' user=shop")
    ('postgresql://shop@db/shop', 'host=db user=shop')
    """
    plain = re.sub(r"(://[^/@:?\s]*):[^@]*@", r"\1@", dsn)
    plain = re.sub(r"([?&])(?:ssl)?password=[^&\s]*&?", r"\1", plain).rstrip("?&")
    return re.sub(r"(?:ssl)?password\s*=\s*(?:'(?:[^'\\]|\\.)*'|\S+)\s*", "", plain).strip()
