"""The slow query log of MySQL and MariaDB: https://dev.mysql.com/doc/refman/8.4/en/slow-query-log.html https://mariadb.com/kb/en/slow-query-log-overview/

With ``long_query_time = 0`` it holds every statement. Extra fields (log_slow_extra, log_slow_verbosity) are read by
their names. MariaDB gives the start to the second only; the order of the file is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.formats import Tables, _queries
from perflab.formats._queries import Clock, Skipped

_SNIFF = re.compile(rb"^# User@Host: [^\n]{0,300}\n(?:# [^\n]{0,600}\n){0,4}?# Query_time: \d", re.MULTILINE)
_TIME = re.compile(r"# Time: (?:\d{6}\s+\d{1,2}:\d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))\s*", re.ASCII)
_USER = re.compile(r"# User@Host: (?P<user>[^\[]*)\[[^\]]*\] @ [^\[]*\[[^\]]*\](?:\s+Id:\s*(?P<id>\d+))?")
_FIELD = re.compile(r"([A-Z][A-Za-z_]*): +([^\s:]+)(?=\s|$)", re.ASCII)
_SERVER = re.compile(r"(?:Tcp port: |Time\s+Id\s+Command\s+Argument$|.{0,300}, Version: .{0,200} started with:$)")
_STAMP = re.compile(r"SET timestamp=(\d{1,12}(?:\.\d{1,6})?);$", re.ASCII)
_USE = re.compile(r"use `?(?P<name>[^`;]+)`?;$", re.IGNORECASE)


def sniff(head: bytes) -> bool:
    return _SNIFF.search(head.replace(b"\r\n", b"\n")) is not None


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a slow log, with the rows that they sent (or changed) and examined."""
    skipped, clock = Skipped(), Clock(timezone)
    rows = [
        row for number, entry in _entries(path, skipped) if (row := _row(entry, number, clock, skipped)) is not None
    ]
    coarse = [row.pop("coarse") for row in rows]
    if any(coarse):
        skipped.notes.append("this slow log tells starts to the second only: time gaps between statements mean nothing")
    return _queries.tables(
        path,
        rows,
        skipped,
        meta={"tool": "mysql", "log": "slow"},
        expected="entries with '# Query_time:' and a statement",
    )


def _entries(path: Path, skipped: Skipped) -> Iterator[tuple[int, list[str]]]:
    """The lines of each entry; only behind a line that ends a statement can the next one begin."""
    entry: list[str] = []
    first, ended = 1, True
    for number, line in enumerate(sources.lines(path), start=1):
        skipped.total = number
        if ended and _SERVER.match(line):
            continue
        heads = len(entry) > 0 and all(text.startswith("# ") for text in entry)
        if ended and line.startswith(("# Time: ", "# User@Host: ")) and not heads:
            if entry:
                yield first, entry
            entry, first = [], number
        entry.append(line)
        ended = line.endswith(";") or line.startswith("# ")
    if entry:
        yield first, entry


def _row(entry: list[str], number: int, clock: Clock, skipped: Skipped) -> dict[str, Any] | None:
    fields: dict[str, str] = {}
    user = session = None
    body = next(
        (n for n, line in enumerate(entry) if not line.startswith("# ") or line.startswith("# administrator")), None
    )
    if body is None:
        skipped.line(number)  # cut off before its statement
        return None
    for line in entry[:body]:
        if found := _USER.match(line):
            user, session = found["user"].strip() or None, found["id"]
        elif not _TIME.fullmatch(line):
            fields.update(_FIELD.findall(line))
    database, at, sql = _statement(entry[body:])
    took = _number(fields.get("Query_time"))
    if took is None or not sql or not entry[-1].endswith(";"):
        skipped.line(number)
        return None
    if sql.startswith("# administrator command"):
        return None
    ended = next((clock.in_text(line) for line in entry if line.startswith("# Time: ") and "T" in line[8:]), None)
    start = int(ended - took * 1e6) if ended is not None else int((at or 0) * 1e6)
    sent, changed = _number(fields.get("Rows_sent")), _number(fields.get("Rows_affected"))
    return {
        "start": start, "sql": _queries.cut(sql, skipped), "duration_ms": took * 1e3,
        "session": fields.get("Thread_id") or session, "rows": changed if not sent and changed else sent,
        "database": database or fields.get("Schema"), "user": user, "rows_examined": _number(fields.get("Rows_examined")),
        "dialect": "mysql", "coarse": ended is None,
    }  # fmt: skip


def _statement(body: list[str]) -> tuple[str | None, float | None, str]:
    """Database and start that come before the statement, and the statement."""
    database = at = None
    for place, line in enumerate(body):
        if place < 2 and (found := _USE.match(line)) and place + 1 < len(body):
            database = found["name"]
        elif place < 2 and (found := _STAMP.match(line)):
            at = float(found[1])
        else:
            return database, at, "\n".join(body[place:]).removesuffix(";")
    return database, at, ""


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d{1,12}(?:\.\d{1,9})?", text, re.ASCII) else None
