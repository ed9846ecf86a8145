"""The table ``mysql.slow_log`` (``log_output = TABLE``) as CSV, tab-separated, or the server's own file: https://dev.mysql.com/doc/refman/8.4/en/log-destinations.html"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.formats import Tables, _queries
from perflab.formats._queries import Clock

_COLUMNS = (
    "start_time", "user_host", "query_time", "lock_time", "rows_sent", "rows_examined", "db", "last_insert_id", "insert_id",
    "server_id", "sql_text", "thread_id", "rows_affected",
)  # fmt: skip
_NEEDED = frozenset({"start_time", "user_host", "query_time", "sql_text"})
_TIME = re.compile(r"(-?\d{1,4}):(\d\d):(\d\d(?:\.\d{1,6})?)", re.ASCII)
_OWN = re.compile(rb'"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*","[^"\n]*\] @ [^"\n]*","-?\d\d+:\d\d:\d\d[.\d]*","')
"""The server's own file, ``slow_log.CSV``."""
_FIELD = re.compile(r'(?:^|,)(?:"((?:[^"\\]|\\.)*)"|([^,"]*))')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def sniff(head: bytes) -> bool:
    first = head.split(b"\n", 1)[0]
    return _OWN.match(first) is not None or _names(first.decode("utf-8", errors="replace")) >= _NEEDED


def _names(line: str) -> set[str]:
    return {name.strip(' "\r').lower() for name in re.split("[,\t]", line)}


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of the exported table; ``timezone`` is that of the server, whose local times it holds."""
    tally, clock = Tally(), Clock(timezone)
    rows: list[dict[str, Any]] = []
    names: Sequence[str] = ()
    for first, count, record in _records(path, tally):
        if not names:
            own = record and record[0][:1].isdecimal()
            names = _COLUMNS[: len(record)] if own else [name.strip().lower() for name in record]
            if not own:
                tally.known += count
                continue
        if not record:
            tally.known += count
        elif len(record) == len(names) and (row := _row(dict(zip(names, record, strict=True)), clock, tally)):
            rows.append(row)
            tally.rows += 1
            tally.continued += count - 1
        else:
            tally.skip(first, count, "no time or statement")
    meta = {"tool": "mysql", "log": "slow_log"}
    return _queries.tables(
        path, rows, tally, meta=meta, expected="rows of mysql.slow_log with a query_time", warnings=clock.notes()
    )


def _records(path: Path, tally: Tally) -> Iterator[tuple[int, int, list[str]]]:
    """The number of the first line of each record, how many lines it has, and its fields."""
    head = sources.head(path, 4096)
    if _OWN.match(head) or b"\t" in head.split(b"\n", 1)[0]:  # a record is a line in both, and line ends are escaped
        split = _own_fields if _OWN.match(head) else _tabbed_fields
        for number, line in _queries.numbered(path, tally):
            yield number, 1, split(line) if line else []
        return
    lines = csv.reader(line + "\n" for line in sources.lines(path))
    before = 0
    try:
        for record in lines:
            yield before + 1, lines.line_num - before, record
            before = lines.line_num
    except csv.Error as problem:
        tally.skip(before + 1, lines.line_num - before, str(problem))
    tally.total = lines.line_num


def _own_fields(line: str) -> list[str]:
    return [_meant(quoted) if quoted else bare for quoted, bare in _FIELD.findall(line)]


def _tabbed_fields(line: str) -> list[str]:
    return [_meant(field) for field in line.split("\t")]


def _meant(text: str) -> str:
    """A text whose line ends, tabs and quotes are escaped."""
    return _ESCAPED.sub(lambda m: _MEANT.get(m[1], m[1]), text) if "\\" in text else text


def _row(record: dict[str, str], clock: Clock, tally: Tally) -> dict[str, Any] | None:
    if not record.keys() >= _NEEDED:
        return None
    took, start = _TIME.fullmatch(record["query_time"]), clock.in_text(record["start_time"])
    sql = record["sql_text"].strip().removesuffix(";")
    if took is None or start is None or not sql:
        return None
    sent, examined = record.get("rows_sent", ""), record.get("rows_examined", "")
    return {
        "start": start, "sql": _queries.cut(sql, tally),
        "duration_ms": ((int(took[1]) * 60 + int(took[2])) * 60 + float(took[3])) * 1e3,
        "session": record.get("thread_id") or None, "rows": int(sent) if sent.isdecimal() else None,
        "database": record.get("db") or None, "user": record["user_host"].partition("[")[0].strip() or None,
        "rows_examined": int(examined) if examined.isdecimal() else None, "dialect": "mysql",
    }  # fmt: skip
