"""Statements that are JSON objects of their own, as lines of a log that is read: exported rows of ``mysql.slow_log`` (as Azure's
``MySqlSlowLogs``, too), Prisma's query events, and records of PostgreSQL by Azure and by CloudNativePG.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import orjson

_CLOCK = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)", re.ASCII)
_SUFFIX = re.compile(r"_[a-z]$")


def of_slow_row(record: dict[str, Any]) -> str | None:
    """A row of the table of slow statements as an entry of the slow log."""
    inner = record.get("properties")
    row = {_SUFFIX.sub("", str(k)).lower(): v for k, v in (inner if isinstance(inner, dict) else record).items()}
    took, sql = _seconds(row.get("query_time")), row.get("sql_text")
    try:
        start = dt.datetime.fromisoformat(str(row.get("start_time")))
    except ValueError:
        return None
    if took is None or not isinstance(sql, str) or not sql.strip():
        return None
    end = start + dt.timedelta(seconds=took)
    time = f"{end.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}Z" if end.tzinfo else f"{end:%y%m%d %H:%M:%S}"
    thread = str(row.get("thread_id") or "")
    names = (("Rows_sent", "rows_sent"), ("Rows_examined", "rows_examined"))
    counts = "".join(f"  {name}: {row[key]}" for name, key in names if str(row.get(key)).isdecimal())
    return "\n".join([
        f"# Time: {time}",
        f"# User@Host: {' '.join(str(row.get('user_host') or '').split())}" + (f"  Id: {thread}" if thread.isdecimal() else ""),
        f"# Query_time: {took:.6f}  Lock_time: 0.000000{counts}",
        *([f"use `{db}`;"] if isinstance(db := row.get("db"), str) and re.fullmatch(r"[^`;\n]+", db) else []),
        sql.strip().removesuffix(";") + ";",
    ])  # fmt: skip


def of_prisma(record: dict[str, Any]) -> str | None:
    """A query event, whose duration is in milliseconds, as a line of perflab's query recorder."""
    sql, took = record.get("query"), record.get("duration")
    try:
        at = dt.datetime.fromisoformat(str(record.get("timestamp")))
        bound = orjson.loads(str(record.get("params")))
    except orjson.JSONDecodeError:
        bound = None
    except ValueError:
        return None
    if not isinstance(sql, str) or not isinstance(took, (int, float)) or at.tzinfo is None:
        return None
    found = {"start": at.timestamp() - took / 1e3, "duration_ms": took, "sql": sql}
    values = {"parameters": [None if v is None else str(v) for v in bound]} if isinstance(bound, list) else {}
    return orjson.dumps(found | values).decode()


def of_azure(record: dict[str, Any]) -> str | None:
    """The message, behind the prefix and the level where the record holds them apart."""
    inner = record.get("properties")
    found = inner if isinstance(inner, dict) else {}
    text, prefix, level = found.get("message"), found.get("prefix"), found.get("errorLevel")
    if not isinstance(text, str):
        return None
    if not isinstance(prefix, str) or not isinstance(level, str) or text.startswith(prefix):
        return text
    detail = found.get("detail")
    more = f"\n{prefix}DETAIL:  {detail}" if isinstance(detail, str) and detail else ""
    return f"{prefix}{level}:  {text}{more}"


_CNPG = (
    ("timestamp", "log_time"), ("user", "user_name"), ("dbname", "database_name"), ("session_id", "session_id"),
    ("error_severity", "error_severity"), ("message", "message"), ("detail", "detail"), ("context", "context"),
    ("application_name", "application_name"),
)  # fmt: skip


def of_cnpg(record: dict[str, Any]) -> str | None:
    """CloudNativePG's record in the form of PostgreSQL's jsonlog."""
    found = record.get("record")
    if not isinstance(found, dict) or "message" not in found:
        return None
    line = str(found.get("session_line_num", ""))
    kept: dict[str, Any] = {name: found[theirs] for name, theirs in _CNPG if found.get(theirs)}
    kept["line_num"] = int(line) if line.isdecimal() and len(line) < 18 else 0
    return orjson.dumps(kept).decode()


def _seconds(took: Any) -> float | None:
    if isinstance(took, (int, float)) and not isinstance(took, bool):
        return float(took) if 0 <= took < 1e8 else None
    if found := _CLOCK.fullmatch(str(took)):
        return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
    return float(took) if isinstance(took, str) and re.fullmatch(r"\d{1,8}(?:\.\d{1,9})?", took, re.ASCII) else None


_LINE = re.compile(
    r"# (?:Time|User@Host): |\{\"timestamp\"|.{0,400}?(?:LOG|ERROR|FATAL|DETAIL|STATEMENT|HINT|CONTEXT): {1,2}"
)
_TEXT = rb'"(?:[^"\\]{0,300}?LOG: |# (?:Time|User@Host): )'
NESTED = re.compile(
    rb'"(?:line|@?message|log|text|msg|stringValue)"\s*:\s*' + _TEXT + rb'|\[\s*"\d{19}"\s*,\s*' + _TEXT
)
"""What is in the head of a file in which `inside` finds lines."""
_DEEPEST = 12


def inside(found: Any) -> str | None:
    """Lines of a log anywhere inside a JSON value: Elasticsearch's hits, Loki's and Grafana's answers, OpenTelemetry's logs."""
    return "\n".join(_lines(found, _DEEPEST)) or None


def _lines(found: Any, depth: int) -> Iterator[str]:
    if isinstance(found, str):
        if _LINE.match(found):
            yield found.rstrip("\n")
    elif depth and isinstance(found, (dict, list)):
        for one in found.values() if isinstance(found, dict) else found:
            yield from _lines(one, depth - 1)
