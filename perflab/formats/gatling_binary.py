"""Gatling's simulation.log since 3.12, which is binary: big-endian records, texts written once and then referred to by number.

Its layout is in Gatling's source (gatling-core, DataWriter and gatling-charts, LogFileParser): a first record of the run, then
one of each request, user, group and error, with times in ms since the run began. Java writes a text as its length in bytes, the
bytes, and whether they are Latin-1 or UTF-16.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, join
from perflab.formats import _requests as common

_FIRST = re.compile(rb"\x00\x00\x00\x00[\x05-\x14]\d+\.\d+")
_RUN, _REQUEST, _USER, _GROUP, _ERROR = range(5)
_INT, _LONG = struct.Struct(">i"), struct.Struct(">q")
_PART_ROWS = 100_000
_CHUNK = 1024 * 1024
_LONGEST_TEXT = 1_000_000
_MOST_GROUPS = 1_000


def sniff(head: bytes) -> bool:
    return _FIRST.match(head) is not None


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    tally, kept, known = Tally("record"), common.Kept(), {"generator": "gatling"}
    rows: list[tuple[str, int, int, bool, str | None, int]] = []
    with sources.open_bytes(path) as source:
        log = _Log(source)
        try:
            for row in _records(path, log, tally, known):
                rows.append(row)
                if len(rows) >= _PART_ROWS:
                    yield _tables(rows, log.start, kept, tally, log.read)
                    rows = []
        except _Cut as cut:
            # What follows a record that can't be read is unknown.
            tally.total += 1
            tally.skip(tally.total, why=str(cut))
            tally.cut_off = True
        yield _tables(rows, log.start, kept, tally, log.read)
    yield from common.finish(path, tally, kept, "requests of Gatling", **known)


class _Cut(Exception):
    """The log ends, or is damaged, within a record."""


class _Log:
    """The values of a log, one after the other, a chunk in memory."""

    def __init__(self, source: Any) -> None:
        self._source, self._data, self._at = source, b"", 0
        self._texts: dict[int, str] = {}
        self.read = 0
        self.start = 0

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            rest = self._data[self._at :]
            more = self._source.read(max(_CHUNK, size))
            self.read += len(more)
            self._data, self._at = rest + more, 0
            if len(self._data) < size:
                raise _Cut("the log ends within a record")
        self._at += size
        return self._data[self._at - size : self._at]

    def kind(self) -> int | None:
        try:
            return self.take(1)[0]
        except _Cut:
            return None

    def integer(self) -> int:
        return int(_INT.unpack(self.take(4))[0])

    def truth(self) -> bool:
        return self.take(1) != b"\x00"

    def sized(self, most: int = _LONGEST_TEXT) -> bytes:
        size = self.integer()
        if not 0 <= size <= most:
            raise _Cut("a length that can't be")
        return self.take(size)

    def text(self) -> str:
        data = self.sized()
        if not data:
            return ""
        coder = self.take(1)[0]
        if coder > 1:
            raise _Cut("an unknown encoding of a text")
        return data.decode("utf-16-be" if coder else "latin-1", "replace")

    def named(self) -> str:
        """A text with its number, or the number of one that was written before, negative."""
        number = self.integer()
        if number < 0:
            if -number not in self._texts:
                raise _Cut("a reference to a text that was not written")
            return self._texts[-number]
        self._texts[number] = self.text()
        return self._texts[number]

    def groups(self) -> list[str]:
        count = self.integer()
        if not 0 <= count <= _MOST_GROUPS:
            raise _Cut("a number of groups that can't be")
        return [self.named() for _ in range(count)]


def _records(
    path: Path, log: _Log, tally: Tally, known: dict[str, str]
) -> Iterator[tuple[str, int, int, bool, str | None, int]]:
    if log.kind() != _RUN:
        raise FormatError(f"{path}: expected the binary simulation.log of Gatling, found another beginning")
    _run(log, known)
    tally.total = tally.known = 1
    while (kind := log.kind()) is not None:
        if kind == _RUN:
            raise FormatError(f"{path}: expected one run of Gatling, found a second: save each to its own file")
        if kind == _REQUEST:
            groups, name = log.groups(), log.named()
            begin, end, ok, message = log.integer(), log.integer(), log.truth(), log.named()
            tally.total += 1
            # Both times 0: a request that Gatling counts and never sent.
            yield " / ".join([*groups, name]), begin, end, ok, message.strip() or None, tally.total
            continue
        if kind == _USER:
            log.take(9)
        elif kind == _GROUP:
            log.groups()
            log.take(13)
        elif kind == _ERROR:
            log.named()
            log.take(4)
        else:
            raise _Cut("an unknown kind of record")
        tally.total, tally.known = tally.total + 1, tally.known + 1


def _run(log: _Log, known: dict[str, str]) -> None:
    known["version"] = log.text()[:20]
    log.text()
    log.start = int(_LONG.unpack(log.take(8))[0])
    log.text()
    for _ in range(min(log.integer(), 100_000)):
        log.text()
    for _ in range(min(log.integer(), 100_000)):
        log.sized(100_000_000)


def _tables(rows: list[Any], start: int, kept: common.Kept, tally: Tally, done: int) -> Tables:
    names, begin, end, ok, message, lines = zip(*rows, strict=True) if rows else ((),) * 6
    begun, ended = pd.Series(begin, dtype="float64"), pd.Series(end, dtype="float64")
    succeeded = pd.Series(ok, dtype=bool)
    error = pd.Series(message, dtype="str").where(~succeeded)
    columns = {
        "endpoint": pd.Series(names, dtype="str"),
        "start": common.instants(common.microseconds(begun + start, 1e3)),
        "latency_ms": ended - begun,
        "ok": succeeded,
        "error": common.failures(error, succeeded, pd.Series(pd.NA, index=succeeded.index, dtype="Int64")),
    }
    return Tables({"requests": kept.add(common.usable(columns, tally, lines))}, done=done)
