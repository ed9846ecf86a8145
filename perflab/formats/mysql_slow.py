"""The slow query log of MySQL, MariaDB, Percona and TiDB: https://dev.mysql.com/doc/refman/8.4/en/slow-query-log.html https://mariadb.com/kb/en/slow-query-log-overview/

With ``long_query_time = 0`` it holds every statement. An entry is a head of ``# Name: value`` lines (with explain
verbosity also a plan, framed by bare ``#``), then ``use`` and ``SET timestamp``, then the statement or an administrator
command. MariaDB gives the start to the second only; the order of the file is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _queries
from perflab.formats import _log_notes as notes
from perflab.formats._queries import Clock, Marker

_TIME = re.compile(
    r"# Time: +(?P<time>\d{6} +\d{1,2}:\d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))\s*(?P<rest># User@Host: .*)?$",
    re.ASCII,
)
_USER = re.compile(r"# User@Host: (?P<user>[^\[]*)\[[^\]]*\] @ [^\[]*\[[^\]]*\](?:\s+Id:\s*(?P<id>\d+))?")
_TOOK = re.compile(r"# (?:Thread_id: +\d+ +)?Query_time: +\d")
_SNIFF = re.compile(
    rb"^# (?:User@Host: [^\n]{0,300}\n(?:#[^\n]{0,600}\n){0,12}?# |Thread_id: +\d+ +)?Query_time: +\d[\d.]* +Lock_time: |"
    rb"^# User@Host: [^\n]{0,300}\n(?:#[^\n]{0,600}\n){0,12}?# Query_time: +\d|"
    rb"\A(?:# Time: [^\n]{1,60}\n)?# Query_time: +\d[\d.]*\n",
    re.MULTILINE,
)
_FIELD = re.compile(r"([A-Z][A-Za-z_]*): +([^\s:]+)(?=\s|$)", re.ASCII)
_LOOSE = re.compile(r"# (?:Time:|User@Host:|User: )[^'\"`;]*$")
"""A head that is damaged or of an old server; only behind the end of a statement."""
_HEAD = re.compile(r"#(?:\s*$|\s*No InnoDB statistics |\s*explain: |\s+\w[\w ]{0,40}: ?)", re.ASCII)
_LONGEST_S = 1e8
_ROUTINE = re.compile(r"# Stored[_ ]routine: +(\S+)")
_ADMIN = "# administrator command: "
_STAMP = re.compile(r"SET (?:(?:last_)?insert_id=\d{1,20},){0,2}timestamp=(\d{1,12}(?:\.\d{1,6})?);\s*$", re.ASCII)
_USE = re.compile(r"use `?(?P<name>[^`;]+)`?;\s*$", re.IGNORECASE)
_QUERY_TIME = Marker("# Query_time:", re.compile(r"^# (?:Thread_id: +\d+ +)?Query_time: +\d"))


def sniff(head: bytes) -> bool:
    return _SNIFF.search(head.replace(b"\r\n", b"\n")) is not None


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a slow log, with the rows that they sent (or changed) and examined."""
    log = _Log(Tally(), Clock(timezone))
    for number, line in _queries.numbered(path, log.tally, _QUERY_TIME):
        log.line(number, line)
    log.end()
    log.settle(None)
    coarse = [row.pop("coarse") for row in log.rows]
    found = [notes.COARSE_STARTS()] if any(coarse) else []
    if log.untimed:
        found.append(notes.SOME_UNTIMED(source=path.name, untimed=log.untimed, count=len(log.rows)))
    found += [notes.SAMPLED(limit=limit, what=what) for what, limit in sorted(log.rates)]
    log.tally.mark(_QUERY_TIME.name, 0, log.timed)
    return _queries.tables(
        path,
        log.rows,
        log.tally,
        meta={"tool": "mysql", "log": "slow"},
        expected="entries with '# Query_time:' and a statement",
        warnings=[*found, *log.clock.notes()],
    )


@dataclass
class _Entry:
    """One entry as it is read: its head, what stands before its statement, and its statement."""

    number: int
    fields: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    session: str | None = None
    routine: str | None = None
    database: str | None = None
    at: str | None = None
    body: list[str] = field(default_factory=list)
    prelude: bool = False
    lines: int = 0


@dataclass
class _Log:
    tally: Tally
    clock: Clock
    rows: list[dict[str, Any]] = field(default_factory=list)
    rates: set[tuple[str, int]] = field(default_factory=set)
    timed: int = 0
    untimed: int = 0
    entry: _Entry | None = None
    time: str | None = None
    dated: bool = False
    last: int = 0
    nested: dict[str, list[tuple[str, dict[str, Any], int]]] = field(default_factory=dict)

    def line(self, number: int, line: str) -> None:
        entry = self.entry
        ended = entry is None or not entry.body or entry.body[-1].rstrip().endswith(";")
        if ended and line[:1] != "#" and _queries.MYSQL_BANNER.match(line):
            self.end()
            self.tally.known += 1
            return
        if self._begins(entry, line, ended=ended):
            self.end()
            entry = self.entry = _Entry(number)
        if entry is None:
            if line.strip() and not line.startswith(_ADMIN):  # the end of an entry whose beginning another file holds
                self.tally.skip(number, why="no head of an entry")
            else:
                self.tally.known += 1
            return
        entry.lines += 1
        if entry.body or not self._head(entry, line):
            entry.body.append(line)

    def _begins(self, entry: _Entry | None, line: str, *, ended: bool) -> bool:
        """Whether a line begins an entry: a whole head, inside a statement too; a bare Query_time only behind its end."""
        if not line.startswith("# "):
            return False
        if _TIME.match(line) or _USER.match(line) or (ended and _LOOSE.match(line)):
            return entry is None or bool(entry.body) or "Query_time" in entry.fields
        taken = entry is None or bool(entry.body) or "Query_time" in entry.fields
        return taken and ended and _TOOK.match(line) is not None

    def _head(self, entry: _Entry, line: str) -> bool:
        """Whether the line belongs before the statement; takes what it says."""
        if line[:1] != "#":
            if entry.at is None and (found := _STAMP.match(line)):
                entry.at, entry.prelude = found[1], True
            elif entry.at is None and entry.database is None and (found := _USE.match(line)):
                entry.database, entry.prelude = found["name"], True
            else:
                return False
        elif entry.prelude or line.startswith(_ADMIN):
            return False
        elif found := _TIME.match(line):
            self.time, self.dated = found["time"], True
            if found["rest"]:
                self._head(entry, found["rest"])
        elif found := _USER.match(line):
            entry.user, entry.session = found["user"].strip() or None, found["id"]
        elif not _HEAD.match(line) and "Query_time" in entry.fields:  # a comment before the statement
            return False
        elif routine := _ROUTINE.match(line):
            entry.routine = routine[1]
        elif not line.lstrip("# ").startswith("explain"):
            entry.fields.update(_FIELD.findall(line))
        return True

    def end(self) -> None:
        """Make a row of the entry."""
        entry, dated = self.entry, self.dated
        self.entry, self.dated = None, False
        if entry is None:
            return
        took = _number(entry.fields.get("Query_time"))
        took = took if took is None or took < _LONGEST_S else None
        self.timed += "Query_time" in entry.fields
        while entry.body and not entry.body[-1].strip():
            entry.body.pop()
        sql = "\n".join(entry.body)
        if "Query_time" not in entry.fields or not sql:
            self.tally.skip(
                entry.number, entry.lines, "no statement" if "Query_time" in entry.fields else "no Query_time"
            )
        elif sql.startswith(_ADMIN):
            self.tally.known += entry.lines
        else:
            self.untimed += took is None
            self.add(entry, took or 0.0, sql, dated=dated)

    def add(self, entry: _Entry, took: float, sql: str, *, dated: bool) -> None:
        fields = entry.fields
        if not sql.endswith(";"):
            self.tally.note(notes.CUT_STATEMENT, first=entry.number)
        if (limit := fields.get("Log_slow_rate_limit", "")).isdecimal() and int(limit) > 1:
            self.rates.add((fields.get("Log_slow_rate_type", "session"), int(limit)))
        start, coarse = self._start(entry, took, dated=dated)
        sent, changed = _number(fields.get("Rows_sent")), _number(fields.get("Rows_affected"))
        session = fields.get("Thread_id") or fields.get("Conn_ID") or entry.session
        row = {
            "start": start, "sql": _queries.cut(sql.removesuffix(";"), self.tally), "duration_ms": took * 1e3,
            "session": session, "rows": changed if not sent and changed else sent,
            "database": entry.database or fields.get("Schema") or fields.get("DB"), "user": entry.user,
            "rows_examined": _number(fields.get("Rows_examined")), "dialect": "mysql", "coarse": coarse,
        }  # fmt: skip
        if entry.routine:
            self.nested.setdefault(session or "", []).append((entry.routine, row, entry.lines))
        else:
            self.settle(row)
            self.count(row, entry.lines)

    def count(self, row: dict[str, Any], lines: int) -> None:
        self.rows.append(row)
        self.tally.rows += 1
        self.tally.continued += lines - 1

    def settle(self, outer: dict[str, Any] | None) -> None:
        """Statements inside a stored routine are part of the call that comes after them; without one they count."""
        waiting = [self.nested.pop(outer["session"] or "", [])] if outer else [*self.nested.values()]
        for routine, row, lines in (one for several in waiting for one in several):
            if outer and routine.rpartition(".")[2].strip("`").lower() in outer["sql"].lower():
                self.tally.continued += lines
                self.tally.note(notes.NESTED)
            else:
                self.count(row, lines)

    def _start(self, entry: _Entry, took: float, *, dated: bool) -> tuple[int, bool]:
        """Microseconds since 1970, and whether they are whole seconds."""
        end = self.clock.in_text(self.time) if self.time and "T" in self.time and dated else None
        if end is not None:
            start, coarse = int(end - took * 1e6), False
        elif entry.at is not None:
            start, coarse = int(float(entry.at) * 1e6), "." not in entry.at
        elif self.time is not None and (logged := self._logged(self.time)) is not None:
            start, coarse = int(logged - took * 1e6), "T" not in self.time
        else:
            start, coarse = self.last, True
            self.tally.note(notes.UNDATED, first=entry.number)
        self.last = start
        return start, coarse

    def _logged(self, time: str) -> int | None:
        """``071015 21:43:52`` of old servers is local time."""
        if "T" in time:
            return self.clock.in_text(time)
        day, _, clock = time.partition(" ")
        return self.clock.instant(f"20{day[:2]}-{day[2:4]}-{day[4:]} {clock.strip():0>8}")


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d{1,12}(?:\.\d{1,9})?", text, re.ASCII) else None
