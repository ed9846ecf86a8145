"""The table ``mysql.slow_log`` as CSV (``log_output = TABLE``): https://dev.mysql.com/doc/refman/8.4/en/log-destinations.html"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.formats import Tables, _queries
from perflab.formats._queries import Clock

_NEEDED = frozenset({"start_time", "user_host", "query_time", "sql_text"})
_TIME = re.compile(r"(-?\d{1,4}):(\d\d):(\d\d(?:\.\d{1,6})?)", re.ASCII)


def sniff(head: bytes) -> bool:
    return _names(head.split(b"\n", 1)[0].decode("utf-8", errors="replace")) >= _NEEDED


def _names(line: str) -> set[str]:
    return {name.strip(' "\r').lower() for name in line.split(",")}


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of the exported table; ``timezone`` is that of the server, whose local times it holds."""
    tally, clock = Tally(), Clock(timezone)
    lines = csv.reader(line + "\n" for line in sources.lines(path))
    rows: list[dict[str, Any]] = []
    before = 0
    names: list[str] = []
    try:
        for record in lines:
            first, count, before = before + 1, lines.line_num - before, lines.line_num
            if not names:
                names = [name.strip().lower() for name in record]
                tally.known += count
            elif not record:
                tally.known += count
            elif len(record) == len(names) and (row := _row(dict(zip(names, record, strict=True)), clock, tally)):
                rows.append(row)
                tally.rows += 1
                tally.continued += count - 1
            else:
                tally.skip(first, count, "no time or statement")
    except csv.Error as problem:
        tally.skip(before + 1, lines.line_num - before, str(problem))
    tally.total = lines.line_num
    meta = {"tool": "mysql", "log": "slow_log"}
    return _queries.tables(
        path, rows, tally, meta=meta, expected="rows of mysql.slow_log with a query_time", warnings=clock.notes()
    )


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
