"""The foreign formats that perflab reads, one module each, and which of them claims a file.

A format is a module with two functions, and never imports another format:

    def sniff(head: bytes) -> bool                   the first 64 KiB, decompressed: content only, never the name
    def read(path: Path, **options) -> Tables        foreign file -> canonical tables, without the ``run`` column

Exactly one format claims a file; two claimants are an error that names both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd

from perflab import sources
from perflab.errors import FormatError

NAMES: tuple[str, ...] = (
    "callgrind",
    "collapsed",
    "cpuprofile",
    "django_sql",
    "memray",
    "mysql_general",
    "mysql_slow",
    "opentelemetry",
    "perf_script",
    "pg_stat_statements",
    "postgresql_csvlog",
    "postgresql_jsonlog",
    "postgresql_stderr",
    "pprof",
    "pstats",
    "pyinstrument",
    "query_recorder",
    "rails_activerecord",
    "scalene",
    "speedscope",
    "sqlalchemy_echo",
    "trace_events",
)
"""The modules of this package that are formats. Add yours here."""


class Tables(dict[str, pd.DataFrame]):
    """Canonical tables of one file by name, with what a reader must know about them.

    ``warnings``: each says what was skipped or can't be told, and what to do. ``meta``: tool, version, settings.
    """

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame] | None = None,
        *,
        warnings: Iterable[str] = (),
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(tables or {})
        self.warnings = tuple(warnings)
        self.meta = dict(meta or {})


class Format(Protocol):
    """What a format module offers."""

    def sniff(self, head: bytes) -> bool: ...

    def read(self, path: Path, **options: Any) -> Mapping[str, pd.DataFrame]: ...


def named(name: str) -> Format:
    """The format module of that name."""
    if name not in NAMES:
        raise ValueError(f"format must be one of {', '.join(NAMES)}, or a function; got {name!r}")
    return cast("Format", import_module(f"{__name__}.{name}"))


def claimants(head: bytes) -> list[str]:
    """The names of the formats that claim these first bytes."""
    return [name for name in NAMES if named(name).sniff(head)]


def of_file(path: Path) -> str:
    """The name of the one format that claims this file's content."""
    head = sources.head(path)
    if not head.strip():
        raise FormatError(f"{path}: expected results, found an empty file")
    names = claimants(head)
    if len(names) == 1:
        return names[0]
    if names:
        raise FormatError(f"{path}: claimed by the formats {' and '.join(names)}; name the right one with format=")
    shown = head[:60].decode("utf-8", errors="replace")
    raise FormatError(
        f"{path}: no known format (it begins with {shown!r}); perflab.formats.NAMES lists them, and format= takes a "
        "function of your own"
    )


def skipped(path: Path, count: int, total: int, first: int) -> str:
    """The warning for malformed lines that were left out."""
    return f"{path.name}: skipped {count:,} of {total:,} lines, the first at {first:,}"
