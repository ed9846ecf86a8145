"""JMeter's JTL as XML: https://jmeter.apache.org/usermanual/listeners.html#xmlformat2.1

Read by events, without ever expanding an entity: a document type declaration is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pandas as pd

from perflab.data import sources
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks, join
from perflab.formats import _requests as common

_FIRST = re.compile(rb"\s*(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<testResults[\s>]", re.DOTALL)
_SAMPLES = ("httpSample", "sample")
_TRANSACTION = "Number of samples in transaction"
_CHUNK = 1024 * 1024
_BATCH = 50_000
_INNER = "left out {count} samples inside of others (redirects, embedded resources): the outer one's time holds them"
_LEFT_OUT = "left out {count} transactions: their samples are in the file too and would count twice"


def sniff(head: bytes) -> bool:
    return _FIRST.match(head) is not None


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    tally, rows = _blocks.Tally(), 0
    samples = _Samples(path, tally)
    with sources.open_bytes(path) as source:
        done = 0
        while True:
            data = source.read(_CHUNK)
            done += len(data)
            samples.feed(data)
            if len(samples.found) >= _BATCH or not data:
                frame = _requests(samples.found, tally)
                samples.found = []
                rows += len(frame)
                yield Tables({"requests": frame}, done=done)
            if not data:
                break
    tally.total = samples.lines
    yield from common.finish(path, tally, rows, "samples of JMeter", generator="JMeter", warnings=samples.notes)


class _Samples:
    """The samples that count, as attributes with their line, while the document goes by."""

    def __init__(self, path: Path, tally: _blocks.Tally) -> None:
        self.found: list[tuple[dict[str, str], int]] = []
        self.notes: list[str] = []
        self.lines = 0
        self._path, self._tally = path, tally
        self._outer: list[bool] = []
        self._broken = False
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, data: bytes) -> None:
        if self._broken:
            return
        try:
            self._parser.Parse(data, not data)
        except (expat.ExpatError, LookupError, ValueError) as problem:
            line = self._parser.CurrentLineNumber
            self._broken = True
            self.notes.append(
                f"{self._path.name}:{line}: the XML is broken or cut off here ({problem}): what follows is lost"
            )
        self.lines = self._parser.CurrentLineNumber

    def _refuse(self, *_: Any) -> None:
        raise FormatError(
            f"{self._path}:{self._parser.CurrentLineNumber}: expected JMeter's XML, found a document type declaration"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name not in _SAMPLES:
            return
        transaction = attributes.get("rm", "").startswith(_TRANSACTION)
        if any(self._outer):
            self._tally.note(_INNER, 1)
        elif transaction:
            self._tally.note(_LEFT_OUT, 1)
        else:
            self.found.append((attributes, self._parser.CurrentLineNumber))
        self._outer.append(not transaction)

    def _end(self, name: str) -> None:
        if name in _SAMPLES:
            self._outer.pop()


def _requests(found: list[tuple[dict[str, str], int]], tally: _blocks.Tally) -> pd.DataFrame:
    def column(name: str) -> pd.Series[Any]:
        return pd.Series([attributes.get(name) or None for attributes, _ in found], dtype="str")

    def numbers(name: str) -> Any:
        return pd.to_numeric(column(name), errors="coerce").to_numpy(dtype="float64")

    known, code = column("s"), column("rc")
    ok = known == "true"
    status = common.statuses(pd.to_numeric(code, errors="coerce"))
    latency = pd.Series(numbers("t")).where(known.isin(["true", "false"]))
    columns = {
        "endpoint": pd.Series([common.endpoint(None, a.get("lb")) for a, _ in found], dtype="str"),
        "start": common.instants(common.microseconds(numbers("ts"), 1e3)),
        "latency_ms": latency,
        "ok": ok,
        "status": status,
        "error": common.failures(code.where(status.isna() & ~ok), ok, status),
        "size_bytes": common.whole(numbers("by")),
        "user": column("tn"),
    }
    return common.usable(columns, tally, [line for _, line in found])
