"""What the database server itself counted during a run: its statements before and after, and what sessions waited for.

Counts are sums over all users of the database: use a server that nothing else uses. perflab's own statements are left out.
"""

from __future__ import annotations

import contextlib
import re
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import pandas as pd

from perflab.loadtest.server_counts import source_of
from perflab.notes import TARGET, YOU, Kind, Note

NOT_COUNTED = Kind("server-statements-unread", YOU, "the database's own counts are missing: {problem:raw}")
RESET = Kind(
    "server-statements-reset",
    TARGET,
    "the server's statement counts were reset during the run, so they cover only the time after that",
)
EVICTED = Kind(
    "server-statements-evicted",
    TARGET,
    "the server dropped {entries:entry} of its statement counts during the run, so rare statements are missing: raise "
    "pg_stat_statements.max, or performance_schema_digests_size",
)
_EVERY_S = 0.1


class ServerStatements:
    """Reads the counts before and after a ``with`` block around the load. Errors become notes and are never raised."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._source = dsn, source_of(dsn)
        self._before: dict[Any, tuple[Any, ...]] = {}
        self._after: dict[Any, tuple[Any, ...]] = {}
        self._waits: list[tuple[datetime, str, str, int]] = []
        self._notes: list[Note] = []
        self._held, self._connection = contextlib.ExitStack(), None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._state: tuple[int, object] | None = None

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
        self._tried(self._held.close)

    @property
    def warnings(self) -> tuple[Note, ...]:
        """Notes on what is missing, and why."""
        return tuple(self._notes)

    def summary(self) -> pd.DataFrame:
        """The statements of the run as the ``summary`` table has them: endpoint (the statement), statistic, value, unit."""
        rows, columns = [], self._source.columns
        for key, after in self._after.items():
            before = self._before.get(key, (None, *(0.0 for _ in columns)))
            # A statement whose entry was evicted and made again starts at zero.
            fresh = after[1] < before[1]
            values = [
                float(a or 0.0) - (0.0 if fresh else float(b or 0.0))
                for a, b in zip(after[1:], before[1:], strict=True)
            ]
            if values[0] > 0:
                rows += [
                    {"endpoint": str(after[0]), "statistic": name, "value": value, "unit": unit}
                    for (name, unit), value in zip(columns, values, strict=True)
                ]
        return pd.DataFrame(rows, columns=["endpoint", "statistic", "value", "unit"])

    def waits(self) -> pd.DataFrame:
        """Samples of how many sessions waited for what, as rows of the ``metrics`` table."""
        return pd.DataFrame(
            {
                "time": pd.to_datetime([at for at, *_ in self._waits], utc=True),
                "name": self._source.sessions,
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
        # One connection for all of it: opening another sends statements, which the server would count.
        self._connection = self._held.enter_context(self._source.connected(self._dsn))
        self._state = self._source.state(self._connection)
        self._before = self._source.counts(self._connection)
        self._thread = threading.Thread(target=lambda: self._tried(self._sample), name="perflab-waits", daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._end.wait(_EVERY_S):
            now = datetime.now(UTC)
            self._waits += [(now, *found) for found in self._source.waits(self._connection)]

    def _finish(self) -> None:
        with self._held:
            self._after = self._source.counts(self._connection)
            state = self._source.state(self._connection)
        if self._state is None:
            return
        evicted = state[0] - self._state[0]
        # MariaDB knows when it was reset to the second only: one in the second of its first statement shows in the counts.
        fewer = any((self._after.get(key, (None, 0))[1] or 0) < (kept[1] or 0) for key, kept in self._before.items())
        if state[1] != self._state[1] or (fewer and evicted <= 0):
            self._before = {}
            self._notes.append(RESET())
        elif evicted > 0:
            self._notes.append(EVICTED(entries=evicted))


def without_password(dsn: str) -> str:
    """A connection string without its password.

    >>> without_password("postgresql://shop:secret@db/shop"), without_password("host=db password='a b' user=shop")
    ('postgresql://shop@db/shop', 'host=db user=shop')
    """
    plain = re.sub(r"(://[^/@:?\s]*):[^@]*@", r"\1@", dsn)
    plain = re.sub(r"([?&])(?:ssl)?password=[^&\s]*&?", r"\1", plain).rstrip("?&")
    return re.sub(r"(?:ssl)?password\s*=\s*(?:'(?:[^'\\]|\\.)*'|\S+)\s*", "", plain).strip()
