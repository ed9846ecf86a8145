"""Gatling's simulation.log, the text of 3.11 and earlier: tab-separated, https://docs.gatling.io/reference/stats/reports/

``REQUEST groups name startMs endMs OK|KO message`` (before 3.4 with the user's number first). Binary since 3.12.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks, join
from perflab.formats import _requests as common

_FIRST = re.compile(rb"(RUN|ASSERTION)\t")
_BLOCK_BYTES = 8 * 1024 * 1024
_KNOWN = frozenset({"RUN", "USER", "GROUP", "ASSERTION", "ERROR"})


def sniff(head: bytes) -> bool:
    return _FIRST.match(head) is not None


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    tally, kept, version, runs = Tally(), common.Kept(), "", 0
    for block in _blocks.blocks(path, tally, quotes=False, size=_BLOCK_BYTES):
        rows = list[_Row]()
        for number, line in enumerate(block.data.decode().split("\n")[:-1], start=block.line):
            kind, _tab, rest = line.partition("\t")
            if kind == "REQUEST":
                row = _row(rest, number)
                rows.append(row) if row else tally.skip(number, why="no request of Gatling's")
            elif kind in _KNOWN or not line.strip():
                tally.known += 1
                if kind == "RUN":
                    runs += 1
                    version = rest.split("\t")[-1].strip()[:20]
            else:
                tally.skip(number, why="no line of Gatling's")
        if runs > 1:
            raise FormatError(f"{path}: expected one run of Gatling, found {runs} lines RUN: save each to its own file")
        yield _tables(rows, kept, tally, block.done)
    known = {"generator": "gatling", **({"version": version} if version else {})}
    yield from common.finish(path, tally, kept, "requests of Gatling", **known)


_Row = tuple[str, float, float, bool, str | None, int]


def _row(rest: str, number: int) -> _Row | None:
    """A request: its groups, name, start, end and status stand before the message, which may be trimmed away."""
    fields = rest.split("\t")
    at = next((n for n in (len(fields) - 2, len(fields) - 1) if n >= 4 and fields[n] in ("OK", "KO")), 0)
    if not at:
        return None
    groups, name, begin, end = fields[at - 4 : at]
    if not (begin.isdecimal() and end.isdecimal() and len(begin) == len(end) == 13):
        return None
    full = " / ".join([*filter(None, groups.split(",")), name])
    message = fields[at + 1].strip() if at + 1 < len(fields) else ""
    return full, float(begin), float(int(end) - int(begin)), fields[at] == "OK", message or None, number


def _tables(rows: list[_Row], kept: common.Kept, tally: Tally, done: int) -> Tables:
    names, begin, took, ok, message, lines = zip(*rows, strict=True) if rows else ((),) * 6
    succeeded = pd.Series(ok, dtype=bool)
    error = pd.Series(message, dtype="str").where(~succeeded)
    columns = {
        "endpoint": pd.Series(names, dtype="str"),
        "start": common.instants(common.microseconds(begin, 1e3)),
        "latency_ms": pd.Series(took, dtype="float64"),
        "ok": succeeded,
        "error": common.failures(error, succeeded, pd.Series(pd.NA, index=succeeded.index, dtype="Int64")),
    }
    return Tables({"requests": kept.add(common.usable(columns, tally, lines))}, done=done)
