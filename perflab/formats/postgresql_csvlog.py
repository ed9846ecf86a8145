"""PostgreSQL's csvlog (12 and later: 23, 24 or 26 columns): https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-CSVLOG"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _log_records, _postgresql
from perflab.formats._log_records import Record

COLUMN_COUNTS = range(23, 28)
"""PostgreSQL 12 has 23; 13 adds backend_type, 14 leader_pid and query_id. What else stands behind them is of no use here."""

_LOGGED, _USER, _DATABASE, _SESSION, _LINE, _MESSAGE, _DETAIL, _CONTEXT, _APPLICATION = 0, 1, 2, 5, 6, 13, 14, 18, 22
_NAMES = b"log_time,user_name,database_name,"
"""How the names begin, where a table of the log was exported with them."""
_MARK = ',"duration: '
_MARKER = _MARK.encode()
_FIRST = re.compile(
    rb'"?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [^,]{1,20}"?,(?:"(?:[^"]|"")*")?,(?:"(?:[^"]|"")*")?,\d*,'
    rb'(?:"[^"]*")?,[0-9a-f]+\.[0-9a-f]+,\d+,'
)
_RECORDS = """
SELECT c0 AS logged, c1 AS "user", c2 AS "database", c22 AS application, c5 AS session, c6 AS line, c13 AS message, c14 AS detail,
    c18 AS context
FROM read_csv($path, header = false, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\\n', skip = {skip},
    max_line_size = 4194304, buffer_size = 33554432, columns = {columns})
"""


def sniff(head: bytes) -> bool:
    return _FIRST.match(head.split(b"\n", 1)[-1] if head.startswith(_NAMES) else head) is not None


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a csvlog; ``timezone`` is needed where the log's zone is an abbreviation such as CET."""
    width = _width(path)
    meta = {"log": "csvlog", "columns": width}
    if sources.is_plain(path):
        kinds = ", ".join(f"'c{i}': '{'BIGINT' if i == _LINE else 'VARCHAR'}'" for i in range(width))
        named = sources.head(path).startswith(_NAMES)
        records = _RECORDS.replace("{columns}", "{" + kinds + "}").replace("{skip}", str(int(named)))
        if fast := _postgresql.from_query(path, records, _MARKER, timezone, meta):
            return fast
    tally = Tally("record")
    return _postgresql.from_table(path, [_log_records.batches(_records(path, tally))], tally, timezone, meta)


def _width(path: Path) -> int:
    first = next(csv.reader(sources.lines(path)), [])
    if len(first) not in COLUMN_COUNTS:
        raise FormatError(
            f"{path}:1: expected the {COLUMN_COUNTS[0]} to {COLUMN_COUNTS[-1]} columns of a csvlog, found {len(first)}"
        )
    return len(first)


def _records(path: Path, tally: Tally) -> Iterator[Record]:
    """Records by hand: one begins with a time and a session; what does not fit is counted, to the next that does."""
    for text in _texts(path):
        tally.total += 1
        row = _row(text)
        if row is None:
            tally.mark("duration:", *[text.count(_MARK)] * 2)
            tally.skip(tally.total)
            continue
        tally.mark("duration:", text.count(_MARK), 0)
        yield (
            row[_LOGGED], row[_USER] or None, row[_DATABASE] or None, row[_APPLICATION] or None, row[_SESSION],
            int(row[_LINE]), _log_records.cut(row[_MESSAGE]), row[_DETAIL] or None,
            row[_CONTEXT] or None,
        )  # fmt: skip


def _row(text: str) -> list[str] | None:
    try:
        row = next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration):
        return None
    return row if len(row) in COLUMN_COUNTS and row[_LINE].isdecimal() and len(row[_LINE]) <= 18 else None


_BEGINS = re.compile(r'"?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [^,"]{1,20}"?,("|,)')


def _texts(path: Path) -> Iterator[str]:
    parts: list[str] = []
    quotes = 0
    for number, line in enumerate(sources.lines(path)):
        if number == 0 and line.startswith(_NAMES.decode()):
            continue
        whole = quotes % 2 == 0
        if parts and (whole or _BEGINS.match(line)):
            yield "\n".join(parts)
            parts, quotes = [], 0
        parts.append(line)
        quotes += line.count('"')
    if parts:
        yield "\n".join(parts)
