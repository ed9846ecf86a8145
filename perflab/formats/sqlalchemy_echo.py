"""What SQLAlchemy writes with ``echo=True`` (or its ``sqlalchemy.engine`` logger): https://docs.sqlalchemy.org/en/20/core/engines.html#configuring-logging

It has no durations; perflab's recorder (`perflab.recorders.sqlalchemy`) has. With ``echo="debug"``
rows are counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _printed, _queries
from perflab.formats import _log_notes as notes
from perflab.formats._queries import Clock, Marker

_LINE = re.compile(
    r"(?P<before>.{0,300}?)\bsqlalchemy\.engine\.(?:base\.)?(?:Async)?Engine(?:\.(?P<name>[\w.\-]{1,100}))?"
    r"[\s:|\]>\-]{1,60}(?:(?:INFO|DEBUG)\b[\s:|\]>\-]{1,10})?(?P<text>.*)"
)
_SNIFF = re.compile(
    rb"^[^\n{]{0,300}?\bsqlalchemy\.engine\.(?:base\.)?(?:Async)?Engine\b[^\n]{0,200}?"
    rb"(?:BEGIN|COMMIT|ROLLBACK|SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|PRAGMA|\[(?:generated|cached|raw sql|no key))",
    re.MULTILINE,
)
_VALUES = re.compile(
    r"\[(?:generated in|cached since|raw sql|no key|caching disabled|dialect |insertmanyvalues)[^\]]{0,200}\] ?(?P<values>.*)",
    re.DOTALL,
)
_PARAMETERS = Marker(
    "[generated in/cached since/raw sql]",
    re.compile(
        r"[\s\]:>|]\[(?:generated in|cached since|raw sql|no key|caching disabled|dialect |insertmanyvalues)[^\]]{0,200}\]"
        r"|engine\.base\.Engine[\s:]{1,10}(?=[({\[])(?!\((?i:select|with)\b|\[\w)"
    ),
)
_BARE = re.compile(r"(?:\(.*\)|\{.*\}|\[[^\w].*\]|\[\])\s*", re.DOTALL)
"""The values as versions before 1.4 write them, whose logger is called ``engine.base.Engine``."""
_TOKEN = re.compile(r"\[(?P<token>[^\]]{1,100})\] (?P<text>.*)")
_MARK = re.compile(r"(BEGIN|COMMIT|ROLLBACK|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT)(?: \(| using |$)")
_ROW = re.compile(r"Row \(")
_OTHER = re.compile(r"(?:Col \(|select pg_catalog|Exception |Error |Connection )")


def sniff(head: bytes) -> bool:
    return b"sqlalchemy.engine." in head and _SNIFF.search(head) is not None


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of an echo log with their parameters; ``timezone`` is that of the log's times."""
    log = _Log(Tally(), Clock(timezone))
    for number, line in _queries.numbered(path, log.tally, _PARAMETERS):
        log.line(number, line)
    log.unfinished()
    log.tally.mark(_PARAMETERS.name, 0, log.bound)
    return _queries.tables(
        path, log.rows, log.tally, meta={"tool": "sqlalchemy", "log": "echo"},
        expected="statements of the logger sqlalchemy.engine.Engine",
        warnings=[notes.NO_DURATIONS(), *log.clock.notes()],
    )  # fmt: skip


@dataclass
class _Log:
    tally: Tally
    clock: Clock
    rows: list[dict[str, Any]] = field(default_factory=list)
    at: int = 0
    pending: list[str] = field(default_factory=list)
    begun: int = 0
    bound: int = 0

    def line(self, number: int, line: str) -> None:
        found = _LINE.match(line)
        if found is None:
            if self.pending:
                self.pending.append(line)
            else:
                self.tally.known += 1
            return
        self.at = self.clock.in_text(found["before"]) or self.at
        text, session = found["text"], found["name"]
        if values := _VALUES.match(text):
            self.values(number, values["values"], session)
        elif self.pending and ".base." in found[0] and _BARE.fullmatch(text):
            self.values(number, text, session)
        elif (token := _TOKEN.match(text)) and not self.pending:
            self.message(number, token["text"], session or token["token"])
        elif token and (values := _VALUES.match(token["text"])):
            self.values(number, values["values"], session or token["token"])
        else:
            self.message(number, text, session)

    def message(self, number: int, text: str, session: str | None) -> None:
        if _ROW.match(text) or _OTHER.match(text):
            self.tally.known += 1
        if _ROW.match(text):
            if self.rows:
                self.rows[-1]["rows"] = (self.rows[-1]["rows"] or 0) + 1
        elif text.startswith("Col (") and self.rows:
            self.rows[-1]["rows"] = self.rows[-1]["rows"] or 0
        elif mark := _MARK.match(text):
            self.unfinished()
            self.add(mark[1], None, session)
            self.tally.rows += 1
        elif not _OTHER.match(text):
            self.unfinished()
            self.pending, self.begun = [text], number

    def values(self, number: int, printed: str, session: str | None) -> None:
        self.bound += 1
        if not self.pending:
            self.tally.skip(number, why="parameters without a statement")
            return
        self.tally.rows += 1
        self.tally.continued += len(self.pending)
        sql, self.pending = "\n".join(self.pending), []
        self.add(sql, _printed.values(printed), session)

    def add(self, sql: str, parameters: _printed.Values | None, session: str | None) -> None:
        self.rows.append(
            {
                "start": self.at, "sql": _queries.cut(sql.rstrip(), self.tally), "duration_ms": 0.0,
                "session": session, "parameters": parameters, "rows": None,
            }
        )  # fmt: skip

    def unfinished(self) -> None:
        """A statement whose parameters never came: cut off."""
        if self.pending:
            self.tally.skip(self.begun, len(self.pending), "no parameters")
            self.pending = []
