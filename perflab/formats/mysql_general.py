"""The general query log of MySQL and MariaDB, every statement without its duration: https://dev.mysql.com/doc/refman/8.4/en/query-log.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _queries
from perflab.formats import _log_notes as notes
from perflab.formats._queries import Clock, Marker

_COMMANDS = (
    "Query|Execute|Prepare|Connect|Quit|Init DB|Close stmt|Reset stmt|Long Data|Field List|Statistics|Ping|Change user"
    "|Refresh|Shutdown|Processlist|Kill|Create DB|Drop DB|Set option|Fetch|Binlog Dump|Debug|Sleep|Delayed insert|Daemon"
    "|Reset Connection|Bulk_execute|Connect Out|Register Slave|Table Dump|Time"
)
_SENT = r"(?:Query|Execute|Bulk_execute)(?:\t| {2})"
_RECORD = re.compile(
    r"(?:(?P<old>\d{6} {1,3}\d{1,2}:\d\d:\d\d)[\t ]+|(?P<new>\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+-]\d\d:\d\d))[\t ]+"
    rf"|\t\t[\t ]*| {{6,}}\t| {{8,}}(?=\d+ (?:{_SENT}|Prepare {{2}}|Connect {{2}}|Init DB {{2}}|Quit\s*$)))"
    rf" *(?P<id>\d+) (?P<command>{_COMMANDS})\b(?:\t| *)(?P<text>.*)",
    re.ASCII | re.DOTALL,
)
"""Servers before 5.1 pad with spaces, and so do editors that expand tabs."""
_SNIFF = re.compile(
    rb"^(?:\d{6} {1,3}\d{1,2}:\d\d:\d\d[\t ]|\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+-]\d\d:\d\d)[\t ]|\t\t)[\t ]*\d+ "
    rb"(?:Query|Execute|Prepare|Connect|Init DB|Quit)\b",
    re.MULTILINE,
)
_STATEMENTS = Marker(
    "Query/Execute",
    re.compile(rf"^(?:[^\t]{{0,40}}\t\t?| {{8}}|\d{{6}} [ \d:]{{7,12}} |\d{{4}}-\S{{20,40}} ) *\d+ {_SENT}"),
)
_BY_TEXT = re.compile(r"EXECUTE\s", re.IGNORECASE)


def sniff(head: bytes) -> bool:
    return _SNIFF.search(head) is not None


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a general log: Query and Execute count, Prepare does not; ``timezone`` for MariaDB's local times."""
    log = _Log(Tally(), Clock(timezone))
    for found, lines in _records(path, log.tally):
        log.add(found, lines)
    log.tally.mark(_STATEMENTS.name, 0, log.sent)
    return _queries.tables(
        path,
        log.rows,
        log.tally,
        meta={"tool": "mysql", "log": "general"},
        expected="lines with 'Query' or 'Execute'",
        warnings=[notes.NO_DURATIONS(), *log.clock.notes()],
    )


@dataclass
class _Log:
    tally: Tally
    clock: Clock
    rows: list[dict[str, Any]] = field(default_factory=list)
    at: int = 0
    sent: int = 0
    databases: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def add(self, found: re.Match[str], lines: list[str]) -> None:
        session, command = found["id"], found["command"]
        text = "\n".join([found["text"], *lines])
        self.at = self._time(found) or self.at
        if command == "Connect" and (who := re.match(r"(\S{0,100}?)@\S+ (?:as \S+ )?on ?(\S*)", text)):
            self.users[session], self.databases[session] = who[1], who[2] if who[2] != "using" else ""
        elif command == "Init DB":
            self.databases[session] = text.strip()
        if command in ("Query", "Execute", "Bulk_execute"):
            self.sent += 1
            if text.strip() and self._statement(session, command, text):
                self.tally.rows += 1
                self.tally.continued += len(lines)
                return
        self.tally.known += 1 + len(lines)

    def _statement(self, session: str, command: str, text: str) -> bool:
        """Whether it is a row of its own: EXECUTE p is logged twice, as sent, and as run."""
        before = self.last.get(session)
        if command == "Execute" and before is not None and _BY_TEXT.match(self.rows[before]["sql"]):
            self.rows[before]["sql"] = _queries.cut(text, self.tally)
            return False
        self.last[session] = len(self.rows)
        self.rows.append(
            {
                "start": self.at, "sql": _queries.cut(text, self.tally), "duration_ms": 0.0, "session": session,
                "database": self.databases.get(session) or None, "user": self.users.get(session) or None,
                "dialect": "mysql",
            }
        )  # fmt: skip
        return True

    def _time(self, found: re.Match[str]) -> int | None:
        if found["new"]:
            return self.clock.in_text(found["new"])
        if found["old"]:
            day, _, time = found["old"].partition(" ")
            return self.clock.instant(f"20{day[:2]}-{day[2:4]}-{day[4:]} {time.strip():0>8}")
        return None


def _records(path: Path, tally: Tally) -> Iterator[tuple[re.Match[str], list[str]]]:
    pending: re.Match[str] | None = None
    more: list[str] = []
    for number, line in _queries.numbered(path, tally, _STATEMENTS):
        found = _RECORD.match(line)
        if found:
            if pending:
                yield pending, more
            pending, more = found, []
        elif pending and not _queries.MYSQL_BANNER.match(line):
            more.append(line)
        elif _queries.MYSQL_BANNER.match(line) or not line.strip():
            tally.known += 1
        else:
            tally.skip(number)
    if pending:
        yield pending, more
