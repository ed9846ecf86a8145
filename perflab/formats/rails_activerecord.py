"""What Rails writes at the debug level, ActiveRecord's statements between its requests' first and last lines.

    Started GET "/books?limit=4" for 127.0.0.1 at 2026-11-25 01:03:22 +0000
    Processing by BooksController#index as HTML
      Author Load (0.2ms)  SELECT "authors".* FROM "authors" WHERE "authors"."id" = ? LIMIT ?  [["id", 2], ["LIMIT", 1]]

https://guides.rubyonrails.org/debugging_rails_applications.html#the-logger (the format is ActiveRecord::LogSubscriber's)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _printed, _queries
from perflab.formats import _log_notes as notes
from perflab.formats._queries import Clock, Marker
from perflab.notes import Note

_COLOUR = re.compile(r"\x1b\[[\d;]{0,10}m")
_BEFORE = r"(?P<before>(?:[A-Z], \[[^\]]{0,60}\] {1,2}[A-Z]{3,6} -- [^:]{0,60}: ?)?(?:\[[^\]\s]{1,100}\] ){0,5})"
_STATEMENT = re.compile(
    rf"{_BEFORE} *(?P<name>[A-Z][\w:]*[\w:?!/ ]{{0,120}})? ?\((?P<ms>\d{{1,9}}\.\d{{1,3}})ms\)"
    r"(?: \(db time (?P<db_ms>\d{1,9}\.\d{1,3})ms\))?  (?P<sql>\S.*)",
    re.DOTALL,
)
_TIMED = Marker("(…ms)  ", re.compile(r"\d\.\d{1,3}ms\)(?:\x1b\[\d{0,3}m)?  (?=\S)"))
_BINDS = re.compile(r"  (?P<binds>\[(?:\[.*\]|nil.*)?\])$", re.DOTALL)
_EVENT = re.compile(
    rf"{_BEFORE}(?:(?P<started>Started (?P<method>[A-Z]{{3,10}}) \"(?P<path>[^\"?]{{0,500}})[^\"]*\".*? at (?P<at>.*))"
    r"|Processing by (?P<action>[\w:]{1,200}#\w{1,100})|(?P<completed>Completed \d{3})"
    r"|\s*↳ (?P<source>[^\s:]{1,300}:\d+)|\s*(?P<other>Render(?:ing|ed) |Parameters: |Redirected to ))"
)
_SNIFF = re.compile(
    rb"^[^\n]{0,200}? \(\d{1,9}\.\d{1,3}ms\)(?:\x1b\[\d+m)?  (?:\x1b\[[\d;]+m)*"
    rb"(?i:SELECT|INSERT|UPDATE|DELETE|BEGIN|COMMIT|CREATE|WITH|TRANSACTION|CALL|LOCK|REPLACE|SET|SHOW|VALUES)\b",
    re.MULTILINE,
)
_PID = re.compile(r"#(\d{1,10})\]")
_PREFIXED = re.compile(r"[A-Z], \[|\[[^\]\s]{1,100}\] ")
_LONGEST_US = 60_000_000
_TAG = re.compile(r"\[([^\]\s]{1,100})\] ")


def sniff(head: bytes) -> bool:
    return b"ms)" in head and _SNIFF.search(head) is not None


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a Rails log by request; what the query cache answered is left out, since no database saw it."""
    log = _Log(Tally(), Clock(timezone))
    for _number, line in _queries.numbered(path, log.tally, _TIMED):
        log.line(_COLOUR.sub("", line) if "\x1b" in line else line)
    log.end_statement()
    log.tally.mark(_TIMED.name, 0, log.tally.rows + log.cached)
    log.tally.note(notes.CACHED, log.cached)
    dated = [row.pop("dated") for row in log.rows]
    return _queries.tables(
        path,
        log.rows,
        log.tally,
        meta={"tool": "rails"},
        expected="lines like 'Book Load (0.2ms)  SELECT ...'",
        warnings=[*_doubts(log, dated), *log.clock.notes()],
    )


def _doubts(log: _Log, dated: list[bool]) -> list[Note]:
    if any(dated):
        return []
    return [notes.COARSE_REQUESTS() if any(row["start"] for row in log.rows) else notes.NO_TIMES()]


@dataclass
class _Request:
    """One request between its first and its last line."""

    unit: str
    method: str
    at: int
    route: str | None = None


@dataclass
class _Log:
    tally: Tally
    clock: Clock
    rows: list[dict[str, Any]] = field(default_factory=list)
    requests: dict[str, list[_Request]] = field(default_factory=dict)
    mixed: set[str] = field(default_factory=set)
    count: int = 0
    cached: int = 0
    at: int = 0
    pending: tuple[re.Match[str], list[str]] | None = None

    def line(self, line: str) -> None:
        if found := _STATEMENT.match(line):
            self.end_statement()
            self.pending = (found, [found["sql"]])
            if _BINDS.search(line):
                self.end_statement()
        elif event := _EVENT.match(line):
            self.end_statement()
            self.event(event)
            self.tally.known += 1
        elif self.pending and line.strip() and not (self.pending[0]["before"] and _PREFIXED.match(line)):
            self.pending[1].append(line)
        else:
            self.end_statement()
            self.tally.known += 1

    def event(self, found: re.Match[str]) -> None:
        key = _key(found["before"])
        running = self.requests.setdefault(key, [])
        if found["started"]:
            self.start(key, running, found)
        elif found["action"]:
            waiting = [request for request in running if request.route is None]
            if len(running) > 1 and len(waiting) < len(running):
                self.mixed.add(key)
            if waiting:
                waiting[-1].route = f"{waiting[-1].method} {found['action']}"
        elif found["completed"] and running:
            running.pop()
            if not running:
                self.mixed.discard(key)
        elif found["source"] and self.rows:
            self.rows[-1]["source"] = found["source"]

    def start(self, key: str, running: list[_Request], found: re.Match[str]) -> None:
        """A request that starts before the previous one ended runs concurrently; one that started long ago has ended unseen."""
        self.count += 1
        self.at = self.clock.in_text(found["at"]) or self.at
        tag = _TAG.search(found["before"])
        running[:] = [request for request in running if self.at - request.at < _LONGEST_US and not tag]
        if any(request.route for request in running):
            self.mixed.add(key)
        elif not running:
            self.mixed.discard(key)
        running.append(_Request(tag[1] if tag else f"request {self.count}", found["method"], self.at))

    def end_statement(self) -> None:
        if self.pending is None:
            return
        found, parts = self.pending
        self.pending = None
        if (found["name"] or "").startswith("CACHE"):
            self.cached += 1
            self.tally.known += len(parts)
            return
        whole = "\n".join(parts)
        binds = _BINDS.search(whole)
        sql = whole[: binds.start()] if binds else whole
        dated = self.clock.in_text(found["before"])
        took = float(found["db_ms"] or found["ms"])
        key = _key(found["before"])
        running = self.requests.get(key)
        request = running[-1] if running and key not in self.mixed else None
        if running and request is None:
            self.tally.note(notes.INTERLEAVED)
        self.tally.rows += 1
        self.tally.continued += len(parts) - 1
        self.rows.append(
            {
                "start": max(int(dated - took * 1e3), 0) if dated is not None else self.at,
                "sql": _queries.cut(sql.rstrip(), self.tally), "duration_ms": took,
                "parameters": _bound(binds["binds"]) if binds else None, "unit": request.unit if request else None,
                "route": request.route if request else None, "source": None, "dated": dated is not None,
            }
        )  # fmt: skip


def _key(before: str) -> str:
    """The key that separates concurrent requests: the tag where there is one, else the process."""
    for pattern in (_TAG, _PID):
        if found := pattern.search(before):
            return found[1]
    return ""


def _bound(printed: str) -> list[str | None] | None:
    """``[["id", 2], ["LIMIT", 1]]`` as its values."""
    pairs = _printed.items(printed)
    if pairs is None:
        return None
    split: Callable[[str], list[str] | None] = _printed.items
    values = [(parts[-1] if (parts := split(pair)) else pair) for pair in pairs]
    return [_printed.value(value) for value in values]
