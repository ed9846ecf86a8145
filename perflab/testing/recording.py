"""The log behind the pytest fixtures: hooks engines, and returns a test's part as a table."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.schemas import conform, empty
from perflab.formats import query_recorder


class Recording:
    """A file to which every SQLAlchemy engine and Django connection of this process writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._logs: dict[str, Any] = {}

    def hook(self) -> None:
        """Hook what is installed and not hooked yet."""
        for name, begin in (("sqlalchemy", self._sqlalchemy), ("django", self._django)):
            if name not in self._logs:
                with contextlib.suppress(ImportError):
                    log = begin()
                    if log is not None:
                        self._logs[name] = log

    def _sqlalchemy(self) -> Any:
        from sqlalchemy import Engine

        from perflab.recorders.sqlalchemy import record_queries

        every_engine: Any = Engine
        return record_queries(every_engine, self.path, source=True)

    def _django(self) -> Any:
        if not import_module("django.conf").settings.configured:
            return None
        return import_module("perflab.recorders.django").record_queries(self.path, source=True)

    def connect(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a DB-API driver's ``connect`` so that its connections write to the file."""
        hooked: Callable[..., Any] = import_module("perflab.recorders.dbapi").recorded(connect, self.path, source=True)
        self._logs[f"driver {len(self._logs)}"] = getattr(hooked, "log", None)
        return hooked

    def size(self) -> int:
        """The size of the file in bytes."""
        for log in self._logs.values():
            log.flush()
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, begin: int) -> pd.DataFrame:
        """The statements appended after this byte."""
        if self.size() <= begin:
            return empty("queries")
        with self.path.open("rb") as log:
            log.seek(begin)
            return _statements(log.read())

    def close(self) -> None:
        for log in self._logs.values():
            log.close()


def _statements(lines: bytes) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "queries.jsonl"
        part.write_bytes(lines)
        return conform("queries", query_recorder.read(part)["queries"].assign(run="test"))
