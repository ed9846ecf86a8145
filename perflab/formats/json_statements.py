"""Structured logs of applications (JSON lines) whose records hold SQL: zap, zerolog, slog, pino, winston, structlog, logstash,
Monolog, Rust's tracing with sqlx, or a logger of one's own.

A record is a statement where a field for it (``sql``, ``query``, ``db.statement`` ...) holds SQL. Its duration counts where
the field's name (``duration_ms``, ``elapsed_secs``) or its text (``1.2ms``) has a unit; a number alone is seconds for one
logger, milliseconds or nanoseconds for the next, so it needs ``unit=``. Records about the start of a statement that another
ends are left out.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from perflab.data.accounting import Tally
from perflab.formats import Tables, _queries
from perflab.formats import _log_notes as notes
from perflab.formats._queries import Clock, Marker
from perflab.notes import Note, Remedy

_TEXTS = (
    "sql",
    "db.query.text",
    "db.statement",
    "statement",
    "stmt",
    "raw_sql",
    "rawSql",
    "sqlText",
    "query",
    "summary",
)
_MESSAGES = ("message", "msg", "event")
_TIMES = ("time", "ts", "timestamp", "@timestamp", "datetime", "asctime", "occurredAt", "@t", "date", "eventTime", "t")
_REQUESTS = (
    "request_id", "requestId", "req_id", "reqId", "request-id", "x_request_id", "correlation_id", "correlationId",
    "http.request.id", "trace_id", "traceId", "trace.id", "traceID", "dd.trace_id", "logging.googleapis.com/trace", "otelTraceID",
)  # fmt: skip
_ROWS = ("rows", "row_count", "rowCount", "rows_returned", "returned_rows", "num_rows")
_VALUES = ("params", "parameters", "bindings", "args", "binds", "values", "vars")
_ROUTES = ("route", "http.route", "endpoint")
_NESTED = ("fields", "context", "extra", "data", "db", "query", "meta", "req", "span")
"""What loggers put the fields of a record under."""
_SQL = re.compile(
    r"(?:[\s(;]+|/\*.{0,2000}?\*/|--[^\n]*\n)*(?:select\s.{1,20000}?\s(?:from|as)\s|insert\s+(?:ignore\s+)?into\s|update\s+\S+\s+set\s"
    r"|delete\s+from\s|with\s+(?:recursive\s+)?\S+\s+as\s)",
    re.IGNORECASE | re.DOTALL,
)
_SHORT = re.compile(
    r"\s*(?:select|call|begin|start transaction|commit|rollback|savepoint|release|set)\b", re.IGNORECASE
)
"""What only a field for SQL may hold."""
_NO_PROSE = re.compile(r"[*\"`=(?$%]")
_BEGINS = re.compile(r".{0,200}\b(?:start(?:ed|ing)?|begin|before|executing|running|preparing?)\b", re.IGNORECASE)
_FIELDS = "|".join(re.escape(name) for name in (*_TEXTS, *_MESSAGES))
_SURE = r"select{s}.{{1,20000}}?{s}from|insert{s}into|update{s}\S{{1,200}}{s}set|delete{s}from"
_IN_JSON = re.compile(
    rf'\A.*?"(?:{_FIELDS})" ?: ?"(?:\\[nrt]|\s)*(?:' + _SURE.format(s=r"(?:\\[nrt]|\s)+") + r")\b", re.IGNORECASE
)
_PLAIN = re.compile(r"\s*(?:" + _SURE.format(s=r"\s+") + r")\b", re.IGNORECASE | re.DOTALL)
_STATEMENT = Marker("SQL", _IN_JSON)
_UNITS = {
    "ns": 1e-6,
    "nano": 1e-6,
    "us": 1e-3,
    "µs": 1e-3,
    "μs": 1e-3,
    "micro": 1e-3,
    "ms": 1.0,
    "milli": 1.0,
    "s": 1e3,
    "sec": 1e3,
    "m": 6e4,
}
_TIMED = re.compile(
    r"(?:.*[._])?(?:duration|elapsed|took|time|latency|runtime|exec(?:ution)?_?time|query_?time|query_?duration|response_?time)"
    r"(?:[._]?in)?[._]?(?P<unit>ns|nano|us|micro|ms|milli|s|sec)?(?:s|second|seconds|onds)?",
    re.IGNORECASE,
)
_WITH_UNIT = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s?(ns|us|µs|μs|ms|s|m)", re.ASCII)
_MOST = 256


def sniff(head: bytes) -> bool:
    lines = [line for line in head.split(b"\n")[:_MOST] if line.strip()]
    records = [record for line in lines if line.lstrip()[:1] == b"{" and (record := _loaded(line)) is not None]
    if len(records) * 2 < len(lines) - 1 or any(
        {"sql", "duration_ms", "start"} <= record.keys() for record in records[:1]
    ):
        return False
    return any(_sql(_flat(record)) is not None for record in records)


def read(path: Path, *, timezone: str | None = None, unit: str | None = None, **_: Any) -> Tables:
    factor = _factor(unit)
    tally, clock = Tally(), Clock(timezone)
    found: list[tuple[dict[str, Any], bool]] = []
    unclear: dict[str, int] = {}
    lost = 0
    for number, line in _queries.numbered(path, tally, _STATEMENT):
        record = _loaded(line) if line.lstrip()[:1] == "{" else None
        if record is None:
            if line.strip():
                tally.skip(number, why="not a JSON object")
                lost += _IN_JSON.match(line) is not None
            else:
                tally.known += 1
            continue
        fields = _flat(record)
        sql = _sql(fields)
        if sql is None:
            tally.known += 1
            continue
        took, name = _duration(fields, factor)
        if took is None and name:
            unclear[name] = unclear.get(name, 0) + 1
        message = next((m for key in _MESSAGES if isinstance(m := fields.get(key), str)), "")
        found.append((_row(fields, sql, took, clock, tally), took is None and _BEGINS.match(message) is not None))
    ended = any(row["duration_ms"] is not None for row, _ in found)
    rows = [row for row, begins in found if not (begins and ended)]
    tally.known += len(found) - len(rows)
    tally.rows = len(rows)
    tally.mark(_STATEMENT.name, 0, lost + sum(_PLAIN.match(row["sql"]) is not None for row, _ in found))
    warnings = (*clock.notes(), *_doubts(path, rows, unclear))
    for row in rows:
        row["duration_ms"] = row["duration_ms"] or 0.0
        row["start"] -= int(row["duration_ms"] * 1e3) if row["start"] else 0
    return _queries.tables(
        path, rows, tally, meta={"tool": "structured log"}, expected="JSON lines with SQL", warnings=warnings
    )


def _doubts(path: Path, rows: list[dict[str, Any]], unclear: dict[str, int]) -> Iterator[Note]:
    untimed = sum(row["duration_ms"] is None for row in rows)
    if unclear:
        name = max(unclear, key=unclear.__getitem__)
        yield notes.NO_UNIT(Remedy("read", {"unit": "ms"}), source=path.name, name=name, count=unclear[name])
    elif rows and untimed == len(rows):
        yield notes.NO_DURATIONS()
    elif untimed:
        yield notes.SOME_UNTIMED(source=path.name, untimed=untimed, count=len(rows))
    if rows and not any(row["start"] for row in rows):
        yield notes.NO_TIMES()


def _factor(unit: str | None) -> float | None:
    if unit is not None and unit not in ("ns", "us", "ms", "s"):
        raise ValueError(f"unit must be 'ns', 'us', 'ms' or 's'; got {unit!r}")
    return _UNITS[unit] if unit else None


def _loaded(line: str | bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record, and those that it holds in one of the usual places; the outer ones count."""
    flat = dict(record)
    for name in _NESTED:
        if isinstance(inner := record.get(name), dict):
            for key, value in inner.items():
                flat.setdefault(f"{name}_{key}" if name == "req" else key, value)
    return flat


def _sql(fields: dict[str, Any]) -> str | None:
    for name in (*_TEXTS, *_MESSAGES):
        text = fields.get(name)
        if not isinstance(text, str) or not text:
            continue
        if _SQL.match(text) and (name not in _MESSAGES or _NO_PROSE.search(text)):
            return text.strip()
        if "sql" in name.lower() and _SHORT.match(text):
            return text.strip()
    return None


@lru_cache(maxsize=4096)
def _timed(name: str) -> tuple[bool, float | None]:
    """Whether a field is a duration, and the milliseconds of its unit where its name has one."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name[:100]).lower()
    found = _TIMED.fullmatch(snake)
    if found is None:
        return False, None
    return True, _UNITS[found["unit"]] if found["unit"] else None


def _duration(fields: dict[str, Any], factor: float | None) -> tuple[float | None, str | None]:
    """Milliseconds, or None and the name of a field whose unit is unknown."""
    unclear: tuple[float, str] | None = None
    for name, value in fields.items():
        timed, unit = _timed(name)
        if not timed:
            continue
        if isinstance(value, str):
            if found := _WITH_UNIT.fullmatch(value):
                return float(found[1]) * _UNITS[found[2]], None
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15:
            if unit is not None:
                return value * unit, None
            if unclear is None and not (name in _TIMES and value > 1e8):
                unclear = (value, name)
    if unclear is not None and factor is not None:
        return unclear[0] * factor, None
    return None, unclear[1] if unclear else None


def _start(fields: dict[str, Any], clock: Clock) -> int:
    """Microseconds since 1970, 0 where there is no time; a number's unit shows in its size."""
    for name in _TIMES:
        value = fields.get(name)
        if isinstance(value, str) and (at := clock.in_text(value.replace("T", " ", 1))) is not None:
            return at
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            for scale in (1e6, 1e3, 1, 1e-3):
                if 9e8 <= value * scale / 1e6 <= dt.datetime.now(dt.UTC).timestamp() + 86_400:
                    return int(value * scale)
    return 0


def _row(fields: dict[str, Any], sql: str, took: float | None, clock: Clock, tally: Tally) -> dict[str, Any]:
    rows = next((n for name in _ROWS if type(n := fields.get(name)) is int and 0 <= n < 2**62), None)
    request = next(
        (r for name in (*_REQUESTS, "req_id") if isinstance(r := fields.get(name), (str, int)) and str(r)), None
    )
    bound = next((v for name in _VALUES if isinstance(v := fields.get(name), (list, dict)) and v), None)
    if isinstance(bound, dict):
        values: Any = {str(k): None if v is None else str(v) for k, v in bound.items()}
    else:
        values = [None if v is None else str(v) for v in bound] if bound else None
    return {
        "start": _start(fields, clock), "sql": _queries.cut(sql, tally), "duration_ms": took, "rows": rows,
        "unit": None if request is None else str(request), "parameters": values,
        "route": next((r for name in _ROUTES if isinstance(r := fields.get(name), str) and r), None),
        "source": next((s for name in ("source", "caller", "file") if isinstance(s := fields.get(name), str) and ":" in s), None),
    }  # fmt: skip
