"""PostgreSQL's jsonlog (15 and later): https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-JSONLOG"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from perflab.data import sources
from perflab.formats import Tables, _postgresql
from perflab.formats._postgresql import Record
from perflab.formats._queries import Skipped

_RECORDS = """
SELECT "timestamp" AS logged, "user", dbname AS "database", application_name AS application,
       session_id AS session, line_num AS line, message, detail
FROM read_json($path, format = 'newline_delimited', columns = {
    'timestamp': 'VARCHAR', 'user': 'VARCHAR', 'dbname': 'VARCHAR', 'application_name': 'VARCHAR',
    'session_id': 'VARCHAR', 'line_num': 'BIGINT', 'message': 'VARCHAR', 'detail': 'VARCHAR'})
"""


def sniff(head: bytes) -> bool:
    line = head.lstrip().split(b"\n", 1)[0]
    return line.startswith(b'{"timestamp":"') and b'"error_severity":' in line and b'"session_id":' in line


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a jsonlog; ``timezone`` is needed where the log's zone is an abbreviation such as CET."""
    meta = {"log": "jsonlog"}
    if sources.is_plain(path) and (fast := _postgresql.from_query(path, _RECORDS, {"path": str(path)}, timezone, meta)):
        return fast
    skipped = Skipped()
    return _postgresql.from_table(path, [_postgresql.batches(_records(path, skipped))], skipped, timezone, meta)


def _records(path: Path, skipped: Skipped) -> Iterator[Record]:
    for number, line in enumerate(sources.lines(path), start=1):
        skipped.total = number
        if not line.strip():
            continue
        record = _record(line)
        if record is None:
            skipped.line(number)
        else:
            yield record


def _record(line: str) -> Record | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("message"), str):
        return None
    number = found.get("line_num")
    texts = [
        v if isinstance(v := found.get(k), str) else None
        for k in ("timestamp", "user", "dbname", "application_name", "session_id", "detail")
    ]
    if texts[0] is None:
        return None
    message = _postgresql.cut(found["message"])
    return (*texts[:5], number if isinstance(number, int) and 0 <= number < 2**63 else None, message, texts[5])  # type: ignore[return-value]
