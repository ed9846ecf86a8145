"""PostgreSQL's jsonlog (15 and later): https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-JSONLOG"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.formats import Tables, _log_records, _postgresql, _queries
from perflab.formats._log_records import Record
from perflab.formats._queries import Marker

_RECORDS = """
SELECT "timestamp" AS logged, "user", dbname AS "database", application_name AS application,
       session_id AS session, line_num AS line, message, detail, context
FROM read_json($path, format = 'newline_delimited', columns = {
    'timestamp': 'VARCHAR', 'user': 'VARCHAR', 'dbname': 'VARCHAR', 'application_name': 'VARCHAR',
    'session_id': 'VARCHAR', 'line_num': 'BIGINT', 'message': 'VARCHAR', 'detail': 'VARCHAR', 'context': 'VARCHAR'})
"""

_MARKER = b'"message":"duration: '
_DURATION = Marker("duration:", re.compile(_MARKER.decode()))


def sniff(head: bytes) -> bool:
    line = head.lstrip().split(b"\n", 1)[0]
    return line.startswith(b'{"timestamp":"') and b'"error_severity":' in line and b'"session_id":' in line


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a jsonlog; ``timezone`` is needed where the log's zone is an abbreviation such as CET."""
    meta = {"log": "jsonlog"}
    if sources.is_plain(path) and (fast := _postgresql.from_query(path, _RECORDS, _MARKER, timezone, meta)):
        return fast
    tally = Tally("record")
    return _postgresql.from_table(path, [_log_records.batches(_records(path, tally))], tally, timezone, meta)


def _records(path: Path, tally: Tally) -> Iterator[Record]:
    for number, line in _queries.numbered(path, tally, _DURATION):
        record = _record(line)
        if record is not None:
            yield record
        elif line.strip():
            tally.mark(_DURATION.name, 0, len(_DURATION.pattern.findall(line)))
            tally.skip(number)
        else:
            tally.known += 1


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
        for k in ("timestamp", "user", "dbname", "application_name", "session_id", "detail", "context")
    ]
    if texts[0] is None:
        return None
    message = _log_records.cut(found["message"])
    line_number = number if type(number) is int and 0 <= number < 2**63 else None
    return (*texts[:5], line_number, message, texts[5], texts[6])  # type: ignore[return-value]
