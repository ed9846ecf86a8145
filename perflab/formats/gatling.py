"""Gatling's simulation.log, the text of 3.11 and earlier: tab-separated, https://docs.gatling.io/reference/stats/reports/

``REQUEST groups name startMs endMs OK|KO message`` (before 3.4 with the user's number first). Since 3.12 the log is binary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data import sources
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks, join
from perflab.formats import _requests as common

_FIRST = re.compile(rb"(RUN|ASSERTION)\t")
_BINARY = re.compile(rb"\x00\x00\x00\x00[\x05-\x14]\d+\.\d+\.\d+")
_BLOCK_BYTES = 8 * 1024 * 1024


def sniff(head: bytes) -> bool:
    return _FIRST.match(head) is not None or _BINARY.match(head) is not None


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    if _BINARY.match(sources.head(path, 64)):
        raise FormatError(
            f"{path}: this is the binary simulation.log of Gatling 3.12 or later, which has no public format; run the "
            "simulation with Gatling 3.11, whose log is text, or turn the log into a CSV and give read() a format= function"
        )
    tally, rows, version = _blocks.Tally(), 0, ""
    for block in _blocks.blocks(path, tally, quotes=False, size=_BLOCK_BYTES):
        kept = list[_Row]()
        for number, line in enumerate(block.data.decode().split("\n"), start=block.line):
            kind, _tab, rest = line.partition("\t")
            if kind == "REQUEST":
                row = _row(rest, number)
                kept.append(row) if row else tally.skip(number)
            elif kind == "RUN":
                version = rest.split("\t")[-1].strip()[:20]
            elif kind not in ("USER", "GROUP", "ASSERTION", "ERROR") and line.strip():
                tally.skip(number)
        found = _tables(kept, tally, block.done)
        rows += len(found["requests"])
        yield found
    known = {"generator": "gatling", **({"version": version} if version else {})}
    yield from common.finish(path, tally, rows, "requests of Gatling", **known)


_Row = tuple[str, float, float, bool, str | None, int]


def _row(rest: str, number: int) -> _Row | None:
    fields = rest.split("\t")
    if len(fields) < 6 or fields[-2] not in ("OK", "KO"):
        return None
    groups, name, begin, end = fields[-6:-2]
    if not (begin.isdecimal() and end.isdecimal() and len(begin) == len(end) == 13):
        return None
    full = " / ".join([*filter(None, groups.split(",")), name])
    return full, float(begin), float(int(end) - int(begin)), fields[-2] == "OK", fields[-1].strip() or None, number


def _tables(kept: list[_Row], tally: _blocks.Tally, done: int) -> Tables:
    names, begin, took, ok, message, lines = zip(*kept, strict=True) if kept else ((),) * 6
    succeeded = pd.Series(ok, dtype=bool)
    error = pd.Series(message, dtype="str").where(~succeeded)
    columns = {
        "endpoint": pd.Series(names, dtype="str"),
        "start": common.instants(common.microseconds(begin, 1e3)),
        "latency_ms": pd.Series(took, dtype="float64"),
        "ok": succeeded,
        "error": common.failures(error, succeeded, pd.Series(pd.NA, index=succeeded.index, dtype="Int64")),
    }
    return Tables({"requests": common.usable(columns, tally, lines)}, done=done)
