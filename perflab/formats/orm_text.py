"""What ORMs print of their statements: Entity Framework Core, gorm, Hibernate, knex, Laravel, p6spy, Prisma, Sequelize, TypeORM.

https://learn.microsoft.com/ef/core/logging-events-diagnostics/ https://gorm.io/docs/logger.html https://docs.hibernate.org/orm/
https://knexjs.org/guide/#debug https://laravel.com/docs/database#listening-for-query-events https://p6spy.readthedocs.io
https://www.prisma.io/docs/orm/prisma-client/observability-and-logging https://sequelize.org https://typeorm.io/logging

Each writes a line that begins a statement; some write values on the line after it. Only some have durations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from perflab.data.accounting import Tally
from perflab.formats import Tables, _printed, _queries
from perflab.formats import _log_notes as notes
from perflab.formats._queries import Clock, Marker

_COLOUR = re.compile(r"\x1b\[[\d;]{0,10}m")
_COLOURS = re.compile(_COLOUR.pattern.encode())
_SQL = (
    r"(?i:SELECT|INSERT|UPDATE|DELETE|WITH|BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|CREATE|ALTER|DROP|MERGE|CALL"
    r"|/\*|\()"
)
_HIDDEN = frozenset({"?", "***", "[Filtered]"})
_UNTIL = r"^(?:(?:info|dbug|warn|fail|trce|crit): |\[?\d{4}[-/]\d\d[-/]\d\d|\[\d\d:\d\d:\d\d|\s*$)"


@dataclass(frozen=True)
class _Tool:
    """How one tool writes: the line that begins a statement (groups ``before``, ``ms``, ``session``, ``values``, ``sql``),
    the lines that hold more of it, and what ends it."""

    marker: str
    begins: re.Pattern[str]
    values: re.Pattern[str] | None = None
    ends: re.Pattern[str] = field(default=re.compile(_UNTIL))
    several_lines: bool = True


def _tool(
    marker: str, begins: str, values: str | None = None, ends: str = _UNTIL, *, several_lines: bool = True
) -> _Tool:
    return _Tool(
        marker,
        re.compile(begins, re.DOTALL),
        re.compile(values, re.DOTALL) if values else None,
        re.compile(ends),
        several_lines,
    )


TOOLS = {
    "efcore": _tool(
        "DbCommand (",
        r"(?P<before>.{0,300}?)(?:Executed|Failed executing) DbCommand \(\"?(?P<ms>[\d,.]{1,15})\"?ms\) "
        r"\[Parameters=\[(?P<values>.*?)\], CommandType='\"?\w+\"?', CommandTimeout='\d+'\][\s\"]*(?P<sql>.*)",
    ),
    "gorm": _tool(
        "ms] [rows:", r"(?P<before>)\s*\[(?P<ms>\d{1,9}\.\d{1,6})ms\] \[rows:(?P<rows>-|\d{1,15})\] (?P<sql>\S.*)"
    ),
    "hibernate": _tool(
        "Hibernate: | o[rg.]*h[ibernate.]*SQL",
        rf"(?P<before>.{{0,300}}?)(?:Hibernate: ?|\bo(?:rg)?\.h(?:ib(?:ernate)?)?\.SQL\b[\s:\]|-]{{1,60}}(?:\([^)]{{1,100}}\) )?)"
        rf"(?P<sql>(?:{_SQL}.*)?)$",
        r".{0,300}?binding parameter [\[(](?P<place>\d+)[^\])]*[\])](?: as \[[^\]]*\])? (?:-|<-) \[(?P<value>.*)\]$",
    ),
    "knex": _tool(
        "knex:query ",
        r"(?P<before>.{0,60}?)\bknex:query (?P<sql>.*?) (?P<session>undefined|trx\d+)(?: \+\d+\w+)?$",
        r".{0,60}?\bknex:bindings (?P<all>\[.*\]) (?:undefined|trx\d+)(?: \+\d+\w+)?$",
        several_lines=False,
    ),
    "laravel": _tool(
        ": select / insert / update / delete",
        r"\[(?P<before>\d{4}-\d\d-\d\d[T ][\d:.]+(?:[+-]\d\d:\d\d|Z)?)\] [\w-]+\.[A-Z]+: "
        r"(?P<sql>(?i:select|insert|update|delete) .*?) (?P<context>[\[{].*[\]}])\s*$",
        several_lines=False,
    ),
    "p6spy": _tool(
        "|statement|",
        r"(?P<before>)(?:.{0,200}?#)?(?P<epoch>\d{13}) ?\|(?P<split> took)? ?(?P<ms>\d{1,9})(?:ms)? ?\| ?"
        r"(?P<category>statement|commit|rollback|batch) ?\| ?connection ?(?P<session>\d+)\| ?"
        r"(?:url [^|\n]*(?:\||(?=\n)|$))?(?:(?P<prepared>[^|]*)\|)?(?P<sql>.*)$",
    ),
    "prisma": _tool("prisma:query ", r"(?P<before>.{0,100}?)prisma:query (?P<sql>\S.*)"),
    "sequelize": _tool(
        "Executing/Executed (",
        r"(?P<before>.{0,100}?)Execut(?:ing|ed) \((?P<session>[\w-]{1,64})\): "
        r"(?P<sql>.*?)(?:;? ?Elapsed time: (?P<ms>\d{1,9})ms|;)?$",
    ),
    "typeorm": _tool(
        "query: ",
        rf"(?P<before>.{{0,100}}?)\bquery: (?P<sql>{_SQL}.*?)(?: -- PARAMETERS: (?P<all>\[.*\]))?$",
    ),
}
"""The tools by name."""
_SNIFFS = {
    "efcore": rb"(?:Executed|Failed executing) DbCommand \(\"?[\d,.]+\"?ms\) \[Parameters=\[",
    "gorm": rb"^\[\d+\.\d+ms\] \[rows:(?:-|\d+)\] \S",
    "hibernate": rb"^Hibernate: ?(?:$|(?i:"
    + _SQL[4:-1].encode()
    + rb"))|\bo(?:rg)?\.h(?:ib(?:ernate)?)?\.SQL\b[ \t:\]|-]",
    "knex": rb"\bknex:query [^\n]+ (?:undefined|trx\d+)",
    "laravel": rb"^\[\d{4}-\d\d-\d\d[T ][\d:.+Z-]+\] [\w-]+\.[A-Z]+: (?i:select|insert|update|delete) [^\n]*[\]}]\s*$",
    "p6spy": rb"(?:^|#)\d{13} ?\|(?: took)? ?\d+(?:ms)? ?\| ?(?:statement|commit|rollback|batch) ?\| ?connection ?\d+\|",
    "prisma": rb"\bprisma:query \S",
    "sequelize": rb"Execut(?:ing|ed) \([\w-]+\): \S",
    "typeorm": rb"(?:^|\s)query: " + _SQL.encode(),
}
_WORDS = (b"DbCommand (", b"] [rows:", b"Hibernate:", b"h.SQL", b"hibernate.SQL", b"hib.SQL", b"knex:query ", b"|connection",
          b"| connection", b"prisma:query ", b"Executing (", b"Executed (", b"query: ", b"\x1b[")  # fmt: skip
"""One of these is in what any tool but Laravel writes, whose lines begin with a bracket; colours may stand inside."""
_SNIFF = re.compile(b"|".join(b"(?P<%s>%s)" % (name.encode(), one) for name, one in _SNIFFS.items()), re.MULTILINE)


def sniff(head: bytes) -> bool:
    return head.lstrip()[:1] not in (b"{", b"<") and _first(head) is not None


def _first(head: bytes) -> re.Match[bytes] | None:
    """The first line of a tool; most files hold none of the words, which a search for bytes finds out in no time."""
    if not any(word in head for word in _WORDS) and not (head[:1] == b"[" or b"\n[" in head):
        return None
    return _SNIFF.search(_COLOURS.sub(b"", head.replace(b"\r\n", b"\n")))


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of an application's log; lines of other loggers are left out. ``meta`` names the tool."""
    from perflab.data import sources

    found = _first(sources.head(path))
    name = str(found.lastgroup) if found else "prisma"
    log = _Log(TOOLS[name], Tally(), Clock(timezone))
    marker = Marker(log.tool.marker, re.compile(_SNIFFS[name].decode()))
    for number, line in _queries.numbered(path, log.tally, marker, without=_COLOUR):
        log.line(number, line)
    log.end()
    log.tally.mark(marker.name, 0, log.begun)
    timed = sum(row["duration_ms"] is not None for row in log.rows)
    doubts = [*log.clock.notes()]
    if log.rows and not timed:
        doubts.append(notes.NO_DURATIONS())
    elif timed < len(log.rows):
        doubts.append(notes.SOME_UNTIMED(source=path.name, untimed=len(log.rows) - timed, count=len(log.rows)))
    if log.rows and not any(row["start"] for row in log.rows):
        doubts.append(notes.NO_TIMES())
    for row in log.rows:
        row["duration_ms"] = row["duration_ms"] or 0.0
    return _queries.tables(
        path,
        log.rows,
        log.tally,
        meta={"tool": name, "log": "application"},
        expected="statements of an ORM",
        warnings=doubts,
    )


@dataclass
class _Log:
    tool: _Tool
    tally: Tally
    clock: Clock
    rows: list[dict[str, Any]] = field(default_factory=list)
    at: int = 0
    begun: int = 0
    pending: tuple[int, re.Match[str], list[str]] | None = None

    def line(self, number: int, line: str) -> None:
        if found := self.tool.begins.match(line):
            self.end()
            self.begun += 1
            self.pending = (number, found, [found["sql"] or found.groupdict().get("category") or ""])
            if not self.tool.several_lines:
                self.end()
        elif self.tool.values and (values := self.tool.values.match(line)):
            self.end()
            self.bind(values.groupdict())
            self.tally.continued += 1 if self.rows else 0
            self.tally.known += 0 if self.rows else 1
        elif self.pending and not self.tool.ends.match(line):
            self.pending[2].append(line)
        else:
            self.end()
            self.at = self.clock.in_text(line.replace("/", "-")[:60]) or self.at
            self.tally.known += 1

    def bind(self, found: dict[str, str | None]) -> None:
        if not self.rows:
            return
        if found.get("all"):
            self.rows[-1]["parameters"] = _known(_printed.values(str(found["all"])))
        else:
            values = self.rows[-1]["parameters"] or []
            self.rows[-1]["parameters"] = [*values, *(_known([str(found["value"])]) or [])]

    def end(self) -> None:
        if self.pending is None:
            return
        number, found, parts = self.pending
        self.pending = None
        lines = len(parts)
        if lines > 1 and (whole := self.tool.begins.match("\n".join([found.string, *parts[1:]]))):
            found, parts = (
                whole,
                whole["sql"].split("\n"),
            )  # what some write behind the statement is at the end of its last line
        if found.groupdict().get("split"):  # p6spy's lines with placeholders, then as many with values
            parts = parts[1 + len(parts) // 2 :]
        sql = (
            "\n".join(part.strip() if n else part for n, part in enumerate(parts) if part.strip(' "\t'))
            .strip()
            .removesuffix(";")
        )
        if not sql:
            self.tally.skip(number, lines, "no statement")
            return
        groups = found.groupdict()
        ms = float(groups["ms"].replace(",", "")) if groups.get("ms") else None
        parameters = _values(groups)
        if groups.get("context"):
            parameters, ms = _context(str(groups["context"]))
        ended = self._time(groups)
        session = groups.get("session")
        rows = groups.get("rows")
        self.rows.append(
            {
                "start": max(int(ended - (ms or 0.0) * 1e3), 0), "sql": _queries.cut(sql, self.tally), "duration_ms": ms,
                "session": session if session not in ("default", "undefined") else None, "parameters": parameters,
                "rows": int(rows) if rows and rows.isdecimal() else None, "dialect": "generic",
            }
        )  # fmt: skip
        self.tally.rows += 1
        self.tally.continued += lines - 1

    def _time(self, groups: dict[str, str | None]) -> int:
        if epoch := groups.get("epoch"):
            return int(epoch) * 1000
        self.at = self.clock.in_text((groups.get("before") or "").replace("/", "-")) or self.at
        return self.at


def _values(groups: dict[str, str | None]) -> _printed.Values | None:
    """Bound values in the statement's own line: EF Core's ``@p='5' (DbType = Int32)``, TypeORM's JSON."""
    if groups.get("all"):
        return _known(_printed.values(str(groups["all"])))
    if groups.get("values"):
        return _known(re.findall(r"@?\w+='((?:[^']|'')*)'", str(groups["values"])))
    return None


def _context(text: str) -> tuple[_printed.Values | None, float | None]:
    """Laravel's context: the bindings, or a mapping with bindings and time in ms."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None, None
    time = found.get("time") if isinstance(found, dict) else None
    bound = found.get("bindings") if isinstance(found, dict) else found
    values = [None if v is None else str(v) for v in bound] if isinstance(bound, list) else None
    return _known(values), float(time) if isinstance(time, (int, float)) and 0 <= time < 1e9 else None


def _known(values: _printed.Values | None) -> _printed.Values | None:
    if isinstance(values, dict):
        return {name: None if v in _HIDDEN else v for name, v in values.items()}
    return [None if v in _HIDDEN or v == "null" else v for v in values] if values is not None else None
