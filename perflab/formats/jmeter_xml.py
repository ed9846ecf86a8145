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
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, join
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.notes import Note

_FIRST = re.compile(rb"\s*(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<testResults[\s>]", re.DOTALL)
_SAMPLES = ("httpSample", "sample")
_TRANSACTION = "Number of samples in transaction"
_CHUNK = 1024 * 1024
_BATCH = 50_000
_LONGEST_TAG = 8 * 1024 * 1024


def sniff(head: bytes) -> bool:
    return _FIRST.match(head) is not None


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, *, transactions: bool = False, **_: Any) -> Iterator[Tables]:
    tally, kept = Tally("sample"), common.Kept()
    samples = _Samples(path, tally, transactions)
    with sources.open_bytes(path) as source:
        done = 0
        while True:
            data = source.read(_CHUNK)
            done += len(data)
            samples.feed(data)
            if len(samples.found) >= _BATCH or not data:
                frame = kept.add(_requests(samples.found, tally))
                samples.found = []
                yield Tables({"requests": frame}, done=done)
            if not data:
                break
    yield from common.finish(path, tally, kept, "samples of JMeter", generator="JMeter", warnings=samples.notes)


class _Samples:
    """The samples that count, as attributes with their line, while the document goes by."""

    def __init__(self, path: Path, tally: Tally, transactions: bool) -> None:
        self.found: list[tuple[dict[str, str], int]] = []
        self.notes: list[Note] = []
        self._path, self._tally, self._transactions = path, tally, transactions
        self._outer: list[bool] = []
        self._broken = False
        self._fed = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, data: bytes) -> None:
        if self._broken:
            return
        self._fed += len(data)
        try:
            self._parser.Parse(data, not data)
            if self._fed - max(self._parser.CurrentByteIndex, 0) > _LONGEST_TAG:
                # Older versions of the parser go over an unfinished tag again with each chunk.
                raise ValueError(f"a tag of more than {_LONGEST_TAG:,} bytes")
        except (expat.ExpatError, LookupError, ValueError) as problem:
            line = self._parser.CurrentLineNumber
            self._broken = True
            self.notes.append(caveats.BROKEN_XML(source=self._path.name, line=line, problem=problem))

    def _refuse(self, *_: Any) -> None:
        raise FormatError(
            f"{self._path}:{self._parser.CurrentLineNumber}: expected JMeter's XML, found a document type declaration"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name not in _SAMPLES:
            return
        self._tally.total += 1
        transaction = attributes.get("rm", "").startswith(_TRANSACTION)
        if any(self._outer):
            self._tally.known += 1
            self._tally.note(caveats.INNER_LEFT_OUT)
        elif transaction != self._transactions:
            self._tally.known += 1
            self._tally.note(caveats.TRANSACTIONS_LEFT_OUT if transaction else caveats.SAMPLES_LEFT_OUT)
        else:
            self.found.append((attributes, self._tally.total))
        self._outer.append(not transaction)

    def _end(self, name: str) -> None:
        if name in _SAMPLES:
            self._outer.pop()


def _requests(found: list[tuple[dict[str, str], int]], tally: Tally) -> pd.DataFrame:
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
