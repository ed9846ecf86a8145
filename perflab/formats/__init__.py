"""The foreign formats that perflab reads, one module each, and which of them claims a file.

A format is a module with two functions, and never imports another format:

    def sniff(head: bytes) -> bool                   the first 64 KiB, decompressed: content only, never the name
    def read(path: Path, **options) -> Tables        foreign file -> canonical tables, without the ``run`` column

One whose files grow big adds a third, which holds no more than a block of the file at a time:

    def stream(path: Path, **options) -> Iterator[Tables]     parts of the tables; the last has warnings and meta

Exactly one format claims a file; two claimants are an error that names both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Accounting
from perflab.errors import FormatError
from perflab.formats import _caveats as caveats
from perflab.formats import _unread
from perflab.notes import Remedy, notes_of

NAMES: tuple[str, ...] = (
    "ab_percentiles",
    "ab_requests",
    "ab_text",
    "access_json",
    "access_log",
    "artillery",
    "autocannon",
    "callgrind",
    "collapsed",
    "cpuprofile",
    "django_sql",
    "esbuild_metafile",
    "gatling",
    "gatling_binary",
    "gecko",
    "ghz",
    "har",
    "hey",
    "hey_text",
    "jaeger",
    "jmeter_csv",
    "jmeter_report",
    "jmeter_xml",
    "k6_csv",
    "k6_json",
    "k6_summary",
    "k6_text",
    "lighthouse",
    "locust_history",
    "locust_html",
    "locust_json",
    "locust_requests",
    "locust_stats",
    "memray",
    "mysql_general",
    "mysql_slow",
    "mysql_slow_table",
    "oha_csv",
    "oha_json",
    "oha_text",
    "opentelemetry",
    "orm_text",
    "perf_script",
    "pg_stat_statements",
    "postgresql_csvlog",
    "postgresql_jsonlog",
    "postgresql_stderr",
    "pprof",
    "prometheus_json",
    "prometheus_text",
    "pstats",
    "pyinstrument",
    "pyinstrument_session",
    "query_recorder",
    "rails_activerecord",
    "request_recorder",
    "scalene",
    "sentry",
    "speedscope",
    "sqlalchemy_echo",
    "structured_log",
    "trace_events",
    "vegeta_csv",
    "vegeta_json",
    "vegeta_report",
    "webpack_stats",
    "wrk",
    "zipkin",
)
"""The modules of this package that are formats. Add yours here."""

LOGS = (
    "django_sql", "mysql_general", "mysql_slow", "orm_text", "postgresql_jsonlog", "postgresql_stderr", "rails_activerecord",
    "sqlalchemy_echo", "structured_log",
)  # fmt: skip
"""Formats that may begin with lines of another matter."""
WINDOWS = 64

OPTIONS = frozenset(
    {
        *("endpoint", "event", "images", "inlined", "lines", "log_line_prefix", "max_bytes", "routes", "sample_type"),
        *("started", "time_format", "timezone", "transactions", "unit", "weight"),
    }
)
"""What the formats' readers take; each ignores what is for others."""


class Tables(dict[str, pd.DataFrame]):
    """Canonical tables of one file by name, with what a reader must know about them.

    ``warnings``: each says what was skipped or is unknown, and what to do. ``meta``: tool, version, settings;
    ``generator`` names the tool that drove the load. ``done``: for a part of a file, the bytes of it read by now.
    ``accounting``: where every line of the file went; of a file in parts, the last part has it. `reading` makes warnings of it.
    ``afresh``: this part replaces those before it (what they were taken for was wrong). ``owed``: of a piece of a log, by session
    how many durations, and milliseconds of them, belong to its next statement, which the piece no longer has.
    """

    afresh = False
    owed: Mapping[str, tuple[int, float]] = MappingProxyType({})

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame] | None = None,
        *,
        warnings: Iterable[object] = (),
        meta: Mapping[str, Any] | None = None,
        done: int = 0,
        accounting: Accounting | None = None,
    ) -> None:
        super().__init__(tables or {})
        self.warnings = notes_of(warnings)
        self.meta = dict(meta or {})
        self.done = done
        self.accounting = accounting


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
    return _claiming(NAMES, head)


def _claiming(names: Iterable[str], head: bytes) -> list[str]:
    """Those of the formats that claim these bytes; a log that is any logger's where it is no tool's own."""
    found = [name for name in names if named(name).sniff(head)]
    return [name for name in found if name != "structured_log"] or found


def of_file(path: Path) -> str:
    """The name of the one format that claims this file's content."""
    head = sources.head(path)
    if not head.strip():
        raise FormatError(f"{path}: expected results, found an empty file")
    names = claimants(head) or _further_on(path)
    if len(names) == 1:
        return names[0]
    remedy = Remedy("read", {"format": ...})
    if names:
        raise FormatError(caveats.SEVERAL_FORMATS(remedy, path=path, formats=" and ".join(names)))
    shown = head[:60].decode("utf-8", errors="replace")
    raise FormatError(caveats.UNKNOWN_FORMAT(remedy, path=path, head=repr(shown), instead=_unread.instead(head)))


def _further_on(path: Path) -> list[str]:
    """The log that claims the file further on: applications write other lines before their first statement."""
    for window in sources.windows(path, WINDOWS):
        if names := _claiming(LOGS, window):
            return names
    return []


def join(parts: Iterable[Tables]) -> Tables:
    """The tables of all parts of a file as one, with the warnings, the meta and the accounting of the last part."""
    held: dict[str, list[pd.DataFrame]] = {}
    last = Tables()
    for part in parts:
        last = part
        if part.afresh:
            held.clear()
        for name, frame in part.items():
            held.setdefault(name, []).append(frame)
    joined = {n: f[0] if len(f) == 1 else pd.concat(f, ignore_index=True) for n, f in held.items()}
    return Tables(joined, warnings=last.warnings, meta=last.meta, accounting=last.accounting)


def tables_of(found: Mapping[str, pd.DataFrame]) -> Tables:
    """What a reader gave, as `Tables`."""
    return found if isinstance(found, Tables) else Tables(found)
