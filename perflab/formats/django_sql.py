"""What Django's logger ``django.db.backends`` writes: https://docs.djangoproject.com/en/5.2/ref/logging/#django-db-backends

    (0.001) SELECT ...; args=(1,); alias=default

behind whatever the project's formatter puts in front. Times are read from there, where they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _printed, _queries
from perflab.formats import _log_notes as notes
from perflab.formats._queries import Clock, Marker

_SQL = r"(?:[A-Za-z]{2,20}\b|\(|/\*|--)"
_BEGIN = re.compile(rf"(?P<before>.{{0,400}}?)\((?P<seconds>\d{{1,6}}\.\d{{3}})\) (?P<text>{_SQL}.*)", re.DOTALL)
_END = re.compile(r"args=(?:None|[(\[{].*[)\]}])(?:; alias=[\w\-]{1,100})?$|[)\]}]; alias=[\w\-]{1,100}$")
_ALIAS = re.compile(r"; alias=(?P<alias>[\w\-]{1,100})$")
_STATEMENT = Marker("; args=", re.compile(r"; args=(?:None|[(\[{]).*"))
_SNIFF = re.compile(
    rb"^[^\n{]{0,400}?\(\d{1,6}\.\d{3}\) [A-Z(/-][^\n]*(?:\n[^\n]*){0,200}?; ?args=(?:None|[(\[{])", re.MULTILINE
)
_LONGEST = 20_000
"""Lines of one statement at most; behind that the end is taken for lost."""
_MARKS = 20
"""Places in a statement that may be where its args begin, at most (a literal may hold such a mark, too)."""


def sniff(head: bytes) -> bool:
    if b"args=" not in head or b"sqlalchemy.engine" in head:
        return False
    return _SNIFF.search(head[:65_536].replace(b"\r\n", b"\n")) is not None


def read(path: Path, *, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a Django log; what other loggers wrote into the same file is left out."""
    tally, clock = Tally(), Clock(timezone)
    rows: list[dict[str, Any]] = []
    begun: tuple[int, re.Match[str]] | None = None
    parts: list[str] = []
    for number, line in _queries.numbered(path, tally, _STATEMENT):
        if found := _BEGIN.match(line):
            if begun:
                tally.skip(begun[0], len(parts), "no args=")
            begun, parts = (number, found), [found["text"]]
        elif begun:
            parts.append(line)
        else:
            tally.known += 1
        if begun and _END.search(line) and (split := _split("\n".join(parts))):
            rows.append(_row(begun[1], *split, clock, tally))
            tally.rows += 1
            tally.continued += len(parts) - 1
            begun = None
        elif begun and len(parts) > _LONGEST:
            tally.skip(begun[0], len(parts), "no args=")
            begun = None
    if begun:
        tally.skip(begun[0], len(parts), "no args=")
    tally.mark(_STATEMENT.name, 0, tally.rows)
    undated = rows and not any(row["start"] for row in rows)
    return _queries.tables(
        path,
        rows,
        tally,
        meta={"tool": "django", "log": "django.db.backends"},
        expected="lines like '(0.001) SQL; args=...'",
        warnings=[*clock.notes(), *([notes.NO_TIMES()] if undated else [])],
    )


def _split(whole: str) -> tuple[str, str, str | None] | None:
    """SQL, printed args and alias: the args begin at the first mark whose rest is one printed value and no more."""
    alias = _ALIAS.search(whole[-200:])
    end = len(whole) - len(alias[0]) if alias else len(whole)
    at = -1
    for _ in range(_MARKS):
        at = whole.find("; args=", at + 1, end)
        if at < 0:
            return None
        args = whole[at + 7 : end]
        if args == "None" or len(args) > _printed.MAX_PRINTED or _printed.items(args) is not None:
            return whole[:at].rstrip().removesuffix(";"), args, alias["alias"] if alias else None
    return None


def _row(found: re.Match[str], sql: str, args: str, alias: str | None, clock: Clock, tally: Tally) -> dict[str, Any]:
    took = float(found["seconds"])
    at = clock.in_text(found["before"])
    return {
        "start": max(int(at - took * 1e6), 0) if at is not None else 0,
        "sql": _queries.cut(sql, tally),
        "duration_ms": took * 1e3,
        "parameters": _printed.values(args),
        "database": alias,
    }
