"""Structured logs of applications (JSON lines or logfmt) whose records hold SQL: zap, zerolog, slog, pino, winston, structlog,
logstash, Monolog, Rust's tracing with sqlx, or a logger of one's own.

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
_SESSIONS = ("conn_id", "connection_id", "connectionId", "session_id", "sessionId")
_ROUTES = ("route", "http.route", "endpoint")
_NESTED = ("fields", "context", "extra", "data", "db", "query", "meta", "req", "span")
"""What loggers put the fields of a record under."""
_FIRST = re.compile(r"(?:[\s(;]++|/\*(?s:.*?)\*/|--[^\n]*+\n)*+(\w+)\b")
_NEEDS = {
    verb: re.compile(rf"\b(?:{word})\b", re.IGNORECASE)
    for verb, word in (("select", "from|as"), ("insert", "into"), ("update", "set"), ("delete", "from"), ("with", "as"))
}
"""What a statement of each kind has further on; a sentence may begin with the same word."""
_SHORT = frozenset({"select", "call", "begin", "start", "commit", "rollback", "savepoint", "release", "set"})
"""What only a field for SQL may hold."""
_NO_PROSE = re.compile(r"[*\"`=(?$%]")
_BEGINS = re.compile(r".{0,200}\b(?:start(?:ed|ing)?|begin|before|executing|running|preparing?)\b", re.IGNORECASE)
_FIELDS = "|".join(map(re.escape, _TEXTS))
_STATEMENT = Marker(
    "SQL",
    re.compile(
        rf'\A.*?(?:"(?:{_FIELDS})" ?: ?|\b(?:{_FIELDS})=)"(?:\\[nrt]|\s)*+(?:select|insert|update|delete)(?:\\[nrt]|\s)',
        re.IGNORECASE,
    ),
)
_VERB = re.compile(r"\s*+(?:select|insert|update|delete)\s", re.IGNORECASE)
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
_NO_DURATION = re.compile(
    r".*(?:start|end|begin|stop|finish|event|log|date|created|updated|received|local|server)_?time", re.IGNORECASE
)
_LOGFMT = re.compile(r'(?:^|(?<=\s))([A-Za-z@_][\w.\-@/]*)=("(?:[^"\\]|\\.)*+"|\S*)')
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?", re.ASCII)


_OWN = ({"sql", "duration_ms", "start"}, {"error_severity", "message"})
"""Fields of perflab's query recorder, and of PostgreSQL's jsonlog: its ``statement`` is one that failed."""


def sniff(head: bytes) -> bool:
    lines = [line for line in head.split(b"\n") if line.strip()]
    records = [record for line in lines if (record := _loaded(line.decode("utf-8", errors="replace"))) is not None]
    if len(records) * 2 < len(lines) - 1 or any(own <= record.keys() for record in records for own in _OWN):
        return False
    return any(_sql(_flat(record)) is not None for record in records)


def read(path: Path, *, timezone: str | None = None, unit: str | None = None, **_: Any) -> Tables:
    factor = _factor(unit)
    tally, clock = Tally(), Clock(timezone)
    found: list[tuple[dict[str, Any], bool]] = []
    unclear: dict[str, int] = {}
    lost = marked = 0
    for number, line in _queries.numbered(path, tally, _STATEMENT):
        record = _loaded(line)
        if record is None:
            if line.strip():
                tally.skip(number, why="neither a JSON object nor logfmt")
                lost += _STATEMENT.pattern.match(line) is not None
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
        marked += _marked(fields)
        found.append((_row(fields, sql, took, clock, tally), took is None and _BEGINS.match(message) is not None))
    ended = any(row["duration_ms"] is not None for row, _ in found)
    rows = [row for row, begins in found if not (begins and ended)]
    tally.known += len(found) - len(rows)
    tally.rows = len(rows)
    tally.mark(_STATEMENT.name, 0, lost + marked)
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


def _loaded(line: str) -> dict[str, Any] | None:
    """The fields of a line, of JSON or of logfmt (``level=debug sql="SELECT 1"``)."""
    if line.lstrip("\ufeff \t")[:1] != "{":
        fields = {name: _unquoted(text) for name, text in _LOGFMT.findall(line)}
        return fields if len(fields) > 1 else None
    try:
        record = orjson.loads(line.lstrip("\ufeff"))
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _unquoted(text: str) -> Any:
    if text[:1] in ('"', "["):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text.strip('"')
    return float(text) if _NUMBER.fullmatch(text) else text


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
        if not isinstance(text, str) or not (first := _FIRST.match(text)):
            continue
        needs = _NEEDS.get(verb := first[1].lower())
        if needs is not None and needs.search(text, first.end()) and (name not in _MESSAGES or _NO_PROSE.search(text)):
            return text.strip()
        if "sql" in name.lower() and verb in _SHORT:
            return text.strip()
    return None


def _marked(fields: dict[str, Any]) -> bool:
    return any(isinstance(text := fields.get(name), str) and _VERB.match(text) for name in _TEXTS)


@lru_cache(maxsize=4096)
def _timed(name: str) -> tuple[bool, float | None]:
    """Whether a field is a duration, and the milliseconds of its unit where its name has one."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name[:100]).lower()
    found = _TIMED.fullmatch(snake)
    if found is None or _NO_DURATION.fullmatch(snake):
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
    rows = next((n for name in _ROWS if (n := _whole(fields.get(name))) is not None), None)
    bound = next((v for name in _VALUES if isinstance(v := fields.get(name), (list, dict)) and v), None)
    if isinstance(bound, dict):
        values: Any = {str(k): None if v is None else str(v) for k, v in bound.items()}
    else:
        values = [None if v is None else str(v) for v in bound] if bound else None
    source = _text_of(fields, ("source", "caller", "file"))
    return {
        "start": _start(fields, clock), "sql": _queries.cut(sql, tally), "duration_ms": took, "rows": rows,
        "unit": _text_of(fields, _REQUESTS), "session": _text_of(fields, _SESSIONS), "parameters": values,
        "route": _text_of(fields, _ROUTES), "source": source if source and ":" in source else None,
    }  # fmt: skip


def _whole(value: Any) -> int | None:
    return (
        int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53 else None
    )


def _text_of(fields: dict[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(int(value)) if value == int(value) else str(value)
        if isinstance(value, str) and value:
            return value
    return None
