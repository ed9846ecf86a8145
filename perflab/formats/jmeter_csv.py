"""JMeter's JTL as CSV: https://jmeter.apache.org/usermanual/listeners.html#csvlogformat."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perflab import sources
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks, join
from perflab.formats import _requests as common
from perflab.formats._coded import Coded, joined

if TYPE_CHECKING:
    import pyarrow as pa

_NEEDED = ("timeStamp", "elapsed", "label", "success")
_TEXTS = ("label", "responseCode", "responseMessage", "failureMessage", "threadName", "success", "Hostname")
_FIXED = ("timeStamp", "elapsed", "label", "responseCode", "responseMessage", "threadName", "dataType", "success")
_DELIMITERS = (",", ";", "\t", "|")
_TIME = re.compile(r"\d{13}|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[ T]\d{1,2}:\d\d.*")
_TIME_FORMATS = ("%Y/%m/%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%m/%d/%y %H:%M:%S",
                 "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S")  # fmt: skip
_TRANSACTION = "Number of samples in transaction"
_LEFT_OUT = (
    "left out {count} rows of transaction controllers: their samples are in the file too and would count twice "
    "(transactions=True reads the transactions instead)"
)
_ONLY_TRANSACTIONS = "left out {count} rows of samples: transactions=True was given"


@dataclass(frozen=True)
class Layout:
    """How this file is written: its columns, what divides them, whether the first line names them."""

    names: tuple[str, ...]
    delimiter: str
    header: bool


def sniff(head: bytes) -> bool:
    return _layout(head.decode("utf-8", "replace").split("\n", 1)[0].rstrip("\r")) is not None


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(
    path: Path,
    *,
    timezone: str | tzinfo | None = None,
    time_format: str | None = None,
    transactions: bool = False,
    **_: Any,
) -> Iterator[Tables]:
    """Samples of a JTL; ``timezone`` and ``time_format`` (strptime's) for times that are not milliseconds since 1970."""
    first = next(sources.lines(path), "")
    layout = _layout(first)
    if layout is None:
        raise FormatError(f"{path}:1: expected the columns of a JTL ({', '.join(_NEEDED)}), found {first[:120]!r}")
    clock = _Clock(path, layout, time_format, common.zone(timezone))
    tally, rows = _blocks.Tally(), 0
    texts = [name for name in _TEXTS if name in layout.names]
    wanted = {"timeStamp": "text" if clock.format else "float", "elapsed": "float", **dict.fromkeys(texts, "code")}
    if "bytes" in layout.names:
        wanted["bytes"] = "float"

    def parse(block: _blocks.Block, own: _blocks.Tally) -> pa.Table:
        rows = _blocks.without_header(block) if layout.header else block
        return _blocks.csv_table(rows, layout.names, wanted, own, delimiter=layout.delimiter, threads=False)

    for block, found in _blocks.ahead(path, tally, parse, quotes=True):
        first_line = 2 if layout.header and block.line == 1 else block.line
        frame = _requests(found, clock, tally, first_line, transactions)
        rows += len(frame)
        yield Tables({"requests": frame}, done=block.done)
    hint = "" if transactions or not tally.notes else " beside transactions (transactions=True reads those)"
    yield from common.finish(path, tally, rows, f"samples of JMeter{hint}", generator="JMeter", warnings=clock.notes)


class _Clock:
    """Times of a JTL as instants, and what is not known about them."""

    def __init__(self, path: Path, layout: Layout, time_format: str | None, timezone: tzinfo | None) -> None:
        self.timezone, self.notes = timezone, list[str]()
        first = _first_time(path, layout)
        self.format = time_format or ("" if re.fullmatch(r"-?\d+", first) or not first else _format_of(path, first))
        if not self.format:
            return
        if "%z" not in self.format and timezone is None:
            self.notes.append('the times have no zone and were taken for UTC; give timezone="Europe/Berlin" to read()')
        if "%f" not in self.format:
            self.notes.append(
                "the times are whole seconds, so starts are right to a second only; "
                "set jmeter.save.saveservice.timestamp_format=ms"
            )

    def instants(self, values: pd.Series[Any]) -> pd.Series[Any]:
        if not self.format:
            return common.instants(common.microseconds(values, 1e3))
        try:
            parsed = pd.to_datetime(values, format=self.format, errors="coerce", utc="%z" in self.format)
        except ValueError as problem:
            raise ValueError(f"time_format must be one of strptime's; got {self.format!r} ({problem})") from problem
        return parsed if "%z" in self.format else common.in_zone(parsed, self.timezone)


def _first_time(path: Path, layout: Layout) -> str:
    lines = sources.lines(path)
    if layout.header:
        next(lines, None)
    # A field of two lines makes half a row, but the time stands in front of it.
    row, at = next(lines, "").split(layout.delimiter), layout.names.index("timeStamp")
    return row[at].strip().strip('"') if len(row) > at else ""


def _format_of(path: Path, first: str) -> str:
    for known in _TIME_FORMATS:
        if not pd.isna(pd.to_datetime(first, format=known, errors="coerce")):
            return known
    for known in ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"):
        if not pd.isna(pd.to_datetime(first, format=known, errors="coerce", utc=True)):
            return known
    raise FormatError(
        f"{path}: expected milliseconds since 1970 or a known time format, found {first[:40]!r}; "
        'give time_format="%d/%m/%Y %H:%M:%S" to read()'
    )


def _layout(first: str) -> Layout | None:
    for delimiter in _DELIMITERS:
        row = _blocks.fields(first, delimiter)
        if set(_NEEDED) <= set(row) and len(set(row)) == len(row):
            return Layout(tuple(row), delimiter, header=True)
        if len(row) >= 9 and _TIME.fullmatch(row[0]) and row[1].isdecimal() and row[7] in ("true", "false"):
            after = ("bytes",) if row[8].isdecimal() else ("failureMessage", "bytes")
            names = (*_FIXED, *after)[: len(row)]
            return Layout((*names, *(f"column {i}" for i in range(len(names), len(row)))), delimiter, header=False)
    return None


def _requests(found: pa.Table, clock: _Clock, tally: _blocks.Tally, line: int, transactions: bool) -> pd.DataFrame:
    texts = {name: Coded.of(found[name]) for name in _TEXTS if name in found.column_names}
    kept = np.ones(len(found), dtype=bool)
    if "responseMessage" in texts:
        kept = texts["responseMessage"].test(lambda text: text.startswith(_TRANSACTION) == transactions)
        tally.note(_ONLY_TRANSACTIONS if transactions else _LEFT_OUT, int((~kept).sum()))
    lines = np.flatnonzero(kept) + line
    texts = {name: column.where(kept) for name, column in texts.items()}
    ok = texts["success"].test(lambda text: text.lower() == "true")
    # A truth that is neither is a row that can't be trusted.
    known = texts["success"].test(lambda text: text.lower() in ("true", "false"))
    columns = {
        "endpoint": texts["label"].texts(lambda text: common.endpoint(None, text)),
        "start": clock.instants(found["timeStamp"].to_pandas()[kept].reset_index(drop=True)),
        "latency_ms": np.where(known, found["elapsed"].to_numpy()[kept], np.nan),
        "ok": ok,
        **_details(texts, ok),
    }
    if "bytes" in found.column_names:
        columns["size_bytes"] = common.whole(found["bytes"].to_numpy()[kept])
    one_line = texts["label"].test(lambda text: "\n" not in text)
    swallowed = texts["failureMessage"].counts(common.spilled) if "failureMessage" in texts else None
    return common.usable(columns, tally, lines, one_line=one_line, swallowed=swallowed)


def _details(texts: dict[str, Coded], ok: Any) -> dict[str, Any]:
    nothing = Coded(np.zeros(len(ok), dtype="int64"), [""])
    code = texts.get("responseCode", nothing)
    # What went wrong, in this order: the assertion's words, a code that is none (an exception), the status.
    said = joined(texts.get("failureMessage", nothing), code, lambda words, status: words or _words(status))
    said = joined(said, Coded(ok.astype("int64"), ["failed", "ok"]), lambda words, how: "" if how == "ok" else words)
    details: dict[str, Any] = {
        "status": common.statuses(code.numbers()),
        "error": said.texts(lambda text: text or None),
    }
    for column, name in (("user", "threadName"), ("worker", "Hostname")):
        if name in texts:
            details[column] = texts[name].texts(lambda text: text or None)
    return details


def _words(status: str) -> str:
    if status.isdecimal() and len(status) == 3:
        return f"HTTP {status}"
    return status or "failed"
