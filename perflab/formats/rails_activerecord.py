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

from perflab.data import sources
from perflab.formats import Tables, _printed, _queries
from perflab.formats._queries import Clock, Skipped

_COLOUR = re.compile(r"\x1b\[[\d;]{0,10}m")
_KEYWORD = (
    r"(?i:SELECT|INSERT|UPDATE|DELETE|WITH|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|CREATE|ALTER|DROP|PRAGMA|SHOW|SET|EXPLAIN"
    r"|TRUNCATE|/\*|\()"
)
_BEFORE = r"(?P<before>(?:[A-Z], \[[^\]]{0,60}\] {1,2}[A-Z]{3,6} -- [^:]{0,60}: ?)?(?:\[[^\]\s]{1,100}\] ){0,5})"
_STATEMENT = re.compile(
    rf"{_BEFORE} *(?P<name>[A-Z][\w:]*[\w:?!/ ]{{0,120}})? ?\((?P<ms>\d{{1,9}}\.\d{{1,3}})ms\)  (?P<sql>{_KEYWORD}.*)",
    re.DOTALL,
)
_BINDS = re.compile(r"  (?P<binds>\[(?:\[.*\]|nil.*)?\])$", re.DOTALL)
_EVENT = re.compile(
    rf"{_BEFORE}(?:(?P<started>Started (?P<method>[A-Z]{{3,10}}) \"(?P<path>[^\"?]{{0,500}})[^\"]*\".*? at (?P<at>.*))"
    r"|Processing by (?P<action>[\w:]{1,200}#\w{1,100})|(?P<completed>Completed \d{3})"
    r"|\s*↳ (?P<source>[^\s:]{1,300}:\d+)|\s*(?P<other>Render(?:ing|ed) |Parameters: |Redirected to ))"
)
_SNIFF = re.compile(
    rb"^[^\n]{0,200}? \(\d{1,9}\.\d{1,3}ms\)(?:\x1b\[\d+m)?  (?:\x1b\[[\d;]+m)*"
    rb"(?i:SELECT|INSERT|UPDATE|DELETE|BEGIN|COMMIT|CREATE|WITH)\b",
    re.MULTILINE,
)
_PID = re.compile(r"#(\d{1,10})\]")
_TAG = re.compile(r"\[([^\]\s]{1,100})\] ")


def sniff(head: bytes) -> bool:
    return _SNIFF.search(head) is not None


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a Rails log by request; what the query cache answered is left out, since no database saw it."""
    log = _Log(Skipped(), Clock(timezone))
    for number, line in enumerate(sources.lines(path), start=1):
        log.skipped.total = number
        log.line(number, _COLOUR.sub("", line) if "\x1b" in line else line)
    log.end_statement()
    notes = log.skipped.notes
    if log.cached:
        notes.append(f"{path.name}: left out {log.cached:,} statements that Rails' query cache answered (CACHE)")
    if log.rows and not any(row["dated"] for row in log.rows):
        notes.append("this log dates requests to the second, and statements not at all: their order is the file's")
    for row in log.rows:
        del row["dated"]
    notes += log.clock.notes()
    return _queries.tables(
        path, log.rows, log.skipped, meta={"tool": "rails"}, expected="lines like 'Book Load (0.2ms)  SELECT ...'"
    )


@dataclass
class _Log:
    skipped: Skipped
    clock: Clock
    rows: list[dict[str, Any]] = field(default_factory=list)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    count: int = 0
    cached: int = 0
    at: int = 0
    pending: tuple[re.Match[str], list[str]] | None = None

    def line(self, number: int, line: str) -> None:
        if found := _STATEMENT.match(line):
            self.end_statement()
            self.pending = (found, [found["sql"]])
            if _BINDS.search(line):
                self.end_statement()
        elif event := _EVENT.match(line):
            self.end_statement()
            self.event(event)
        elif self.pending and line.strip():
            self.pending[1].append(line)
        elif self.pending:
            self.end_statement()

    def event(self, found: re.Match[str]) -> None:
        key = _key(found["before"])
        if found["started"]:
            self.count += 1
            self.at = self.clock.in_text(found["at"]) or self.at
            tag = _TAG.search(found["before"])
            unit = tag[1] if tag else f"request {self.count}"
            self.requests[key] = {"unit": unit, "method": found["method"], "route": None}
        elif found["action"] and (request := self.requests.get(key)):
            request["route"] = f"{request['method']} {found['action']}"
        elif found["completed"]:
            self.requests.pop(key, None)
        elif found["source"] and self.rows:
            self.rows[-1]["source"] = found["source"]

    def end_statement(self) -> None:
        if self.pending is None:
            return
        found, parts = self.pending
        self.pending = None
        if (found["name"] or "").startswith("CACHE"):
            self.cached += 1
            return
        whole = "\n".join(parts)
        binds = _BINDS.search(whole)
        sql = whole[: binds.start()] if binds else whole
        dated = self.clock.in_text(found["before"])
        took = float(found["ms"])
        request = self.requests.get(_key(found["before"]), {})
        self.rows.append(
            {
                "start": max(int(dated - took * 1e3), 0) if dated is not None else self.at,
                "sql": _queries.cut(sql.rstrip(), self.skipped), "duration_ms": took,
                "parameters": _bound(binds["binds"]) if binds else None, "unit": request.get("unit"),
                "route": request.get("route"), "source": None, "dated": dated is not None,
            }
        )  # fmt: skip


def _key(before: str) -> str:
    """What tells concurrent requests apart: the tag where there is one, else the process."""
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
