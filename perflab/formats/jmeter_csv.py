"""JMeter's JTL as CSV: https://jmeter.apache.org/usermanual/listeners.html#csvlogformat."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perflab.data.accounting import Tally
from perflab.data.tables import AGGREGATED
from perflab.errors import FormatError
from perflab.formats import Tables, _block_tables, _blocks, join
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._coded import Coded, joined
from perflab.formats._parts import Parts
from perflab.notes import Note, Remedy

if TYPE_CHECKING:
    import pyarrow as pa

_NEEDED = ("timeStamp", "elapsed", "label", "success")
_WANTED = {
    "elapsed": "whole",
    "label": "code",
    "responseCode": "code",
    "responseMessage": "text",
    "failureMessage": "text",
    "threadName": "text",
    "success": "flag",
    "bytes": "whole",
    "Hostname": "text",
    "SampleCount": "whole",
}
_SUMMED = {"elapsed": "float", "label": "code", "success": "flag", "SampleCount": "float", "ErrorCount": "float"}
_MOST_SAMPLES = 1e9
"""In one row: more is damage."""
_PART_ROWS = 1_000_000
_FIXED = ("timeStamp", "elapsed", "label", "responseCode", "responseMessage", "threadName", "dataType", "success")
_DELIMITERS = (",", ";", "\t", "|")
_TIME = re.compile(r"\d{13}|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[ T]\d{1,2}:\d\d.*")
_TIME_FORMATS = ("%Y/%m/%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%m/%d/%y %H:%M:%S",
                 "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S")  # fmt: skip
_TRANSACTION = "Number of samples in transaction"


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
    (first,) = _blocks.first_lines(path)
    layout = _layout(first)
    if layout is None:
        raise FormatError(f"{path}:1: expected the columns of a JTL ({', '.join(_NEEDED)}), found {first[:120]!r}")
    try:
        yield from _samples(path, layout, first, _Clock(path, layout, time_format, common.zone(timezone)), transactions)
    except _SummedUp:
        yield _summed(path, layout, first)


def _samples(path: Path, layout: Layout, first: str, clock: _Clock, transactions: bool) -> Iterator[Tables]:
    import pyarrow as pa

    wanted = {"timeStamp": "text" if clock.format else "whole"}
    wanted |= {name: kind for name, kind in _WANTED.items() if name in layout.names}

    def parse(block: _blocks.Block, own: Tally) -> pa.Table:
        columns, unread = wanted, None
        if layout.header:
            block = _blocks.without_header(path, block, first, own, "JMeter", once=True)
            unread = partial(_blocks.refuse_second, path, block, first, "JMeter")
        if not transactions and _TRANSACTION.encode() not in block.data:
            columns = {name: kind for name, kind in wanted.items() if name != "responseMessage"}
        found, lines = _block_tables.csv_table(
            block, layout.names, columns, own, delimiter=layout.delimiter, threads=False, unread=unread
        )
        if "SampleCount" in wanted and _sums_up(found):
            raise _SummedUp
        return _requests(found, clock, own, lines + block.line, transactions)

    tally, kept, parts = Tally(), common.Kept(), Parts()
    pieces = _blocks.ahead(path, tally, parse, quotes=True, size=_blocks.PIECE_BYTES)
    for done, table in _blocks.gathered(pieces, _PART_ROWS):
        inner = parts.of(table)
        table = table.drop_columns("label")
        if inner.any():
            count = int(np.count_nonzero(inner))
            tally.rows, tally.known = tally.rows - count, tally.known + count
            tally.note(caveats.INNER_LEFT_OUT, count)
            table = table.filter(pa.array(~inner))
        yield Tables({"requests": kept.add(common.frame(table))}, done=done)
    hint = "" if transactions or not tally.noted else " besides transactions (transactions=True reads those)"
    expected = f"samples of JMeter{hint}"
    yield from common.finish(path, tally, kept, expected, generator="JMeter", warnings=clock.notes, **clock.known)


class _SummedUp(Exception):
    """A row stands for several samples, so the file is a summary."""


class _Clock:
    """Times of a JTL as instants, and what is not known about them."""

    def __init__(self, path: Path, layout: Layout, time_format: str | None, timezone: tzinfo | None) -> None:
        self.timezone, self.notes, self.known = timezone, list[Note](), dict[str, Any]()
        first = _first_time(path, layout)
        self.format = time_format or ("" if re.fullmatch(r"-?\d+", first) or not first else _format_of(path, first))
        if not self.format:
            return
        if "%z" not in self.format and timezone is None:
            self.notes.append(caveats.no_zone())
        if "%f" not in self.format:
            self.known["clock_ms"] = common.SECONDS_MS
            self.notes.append(caveats.whole_seconds("JMeter", "jmeter.save.saveservice.timestamp_format=ms"))

    def moments(self, column: pa.ChunkedArray) -> Any:
        """The times in UTC, missing where they are none."""
        if not self.format:
            return common.moments(column.to_numpy(), 1000)
        values = column.to_pandas()
        try:
            parsed = pd.to_datetime(values, format=self.format, errors="coerce", utc="%z" in self.format)
        except ValueError as problem:
            raise ValueError(f"time_format must be one of strptime's; got {self.format!r} ({problem})") from problem
        placed = parsed if "%z" in self.format else common.in_zone(parsed, self.timezone)
        return common.moments(placed.dt.tz_localize(None).to_numpy().astype("datetime64[us]").view("int64"))


def _first_time(path: Path, layout: Layout) -> str:
    # A field of two lines makes half a row, but the time stands in front of it.
    line = _blocks.first_lines(path, 2)[layout.header]
    row, at = line.split(layout.delimiter), layout.names.index("timeStamp")
    return row[at].strip().strip('"') if len(row) > at else ""


def _format_of(path: Path, first: str) -> str:
    for known in _TIME_FORMATS:
        if not pd.isna(pd.to_datetime(first, format=known, errors="coerce")):
            return known
    for known in ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"):
        if not pd.isna(pd.to_datetime(first, format=known, errors="coerce", utc=True)):
            return known
    remedy = Remedy("read", {"time_format": "%d/%m/%Y %H:%M:%S"})
    raise FormatError(caveats.UNKNOWN_TIMES(remedy, path=path, found=repr(first[:40])))


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


def _requests(found: pa.Table, clock: _Clock, tally: Tally, lines: Any, transactions: bool) -> pa.Table:
    import pyarrow as pa

    found, lines = _counted_once(found, tally, lines, transactions)
    label = Coded.of(found["label"])
    endpoint = label.mapped(lambda text: common.one_line(common.endpoint(None, text)))
    latency, truth = found["elapsed"].to_numpy().astype("float64", copy=False), found["success"]
    ok, known = truth.fill_null(False).to_numpy(), truth.is_valid().to_numpy()
    words = _coded(found, "failureMessage")
    start = clock.moments(found["timeStamp"])
    rows = pa.table(
        {
            "label": found["label"],
            "endpoint": endpoint.array(),
            "start": pa.array(start, pa.timestamp("us", "UTC")),
            "latency_ms": latency,
            "ok": ok,
            **_details(found, words, ok),
        }
    )
    # A truth that is neither true nor false is a row that can't be trusted.
    good = common.sound(latency, known & ~np.isnat(start), lines, tally)
    return rows if good.all() else rows.filter(pa.array(good))


def _sums_up(found: pa.Table) -> bool:
    """Whether any sound row stands for several samples."""
    import pyarrow.compute as pc

    if not (pc.max(found["SampleCount"]).as_py() or 0) > 1:
        return False
    count, took = found["SampleCount"].to_numpy(), found["elapsed"].to_numpy()
    return bool(((count > 1) & (count < _MOST_SAMPLES) & (took >= 0)).any())


def _summed(path: Path, layout: Layout, first: str) -> Tables:
    """Count, errors and mean of a file whose rows stand for several samples each (JMeter's statistical mode)."""
    tally, sums = Tally(), pd.DataFrame()
    wanted = {name: kind for name, kind in _SUMMED.items() if name in layout.names}
    for block in _blocks.blocks(path, tally, quotes=True):
        block = _blocks.without_header(path, block, first, tally, "JMeter") if layout.header else block
        found, lines = _block_tables.csv_table(block, layout.names, wanted, tally, delimiter=layout.delimiter)
        rows = found.to_pandas().assign(label=found["label"].to_pandas().astype("str"))
        known = rows["elapsed"].ge(0) & rows["SampleCount"].gt(0) & rows["SampleCount"].lt(_MOST_SAMPLES)
        for at in np.flatnonzero(~known):
            tally.skip(int(lines[at]) + block.line, why="no time, or no number of samples")
        tally.rows += int(known.sum())
        rows = rows[known]
        errors = (
            rows["ErrorCount"] if "ErrorCount" in rows else rows["SampleCount"].where(rows["success"].eq(False), 0.0)
        )
        rows = pd.DataFrame(
            {"label": rows["label"], "ms": rows["elapsed"], "count": rows["SampleCount"], "errors": errors}
        )
        sums = pd.concat([sums, rows.groupby("label").sum()])
    by_label = sums.groupby(level=0).sum()
    by_label.index = [common.one_line(common.endpoint(None, label)) for label in by_label.index]
    by_label.loc[AGGREGATED] = by_label.sum()
    cells = [
        (str(where), name, value)
        for where, row in by_label.iterrows()
        for name, value in (("count", row["count"]), ("errors", row["errors"]), ("mean", row["ms"] / row["count"]))
    ]
    tables = common.summarized(
        path, cells, "samples of JMeter", tally=tally, generator="JMeter", warnings=[caveats.SUMMED_UP()],
        instead="run JMeter with mode=StrippedBatch",
    )  # fmt: skip
    tables.afresh = True
    return tables


def _counted_once(found: pa.Table, tally: Tally, lines: Any, transactions: bool) -> tuple[pa.Table, Any]:
    """The rows of samples, or else of transactions, and their lines."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "responseMessage" not in found.column_names:
        return found, lines
    kept = pc.starts_with(found["responseMessage"], _TRANSACTION).to_numpy() == transactions
    found = found.drop_columns("responseMessage")
    if kept.all():
        return found, lines
    left_out = int((~kept).sum())
    tally.known += left_out
    tally.note(caveats.SAMPLES_LEFT_OUT if transactions else caveats.TRANSACTIONS_LEFT_OUT, left_out)
    return found.filter(pa.array(kept)), lines[kept]


def _details(found: pa.Table, words: Coded, ok: Any) -> dict[str, Any]:
    import pyarrow as pa

    code = _coded(found, "responseCode")
    status = code.numbers(common.status_numbers)
    details: dict[str, Any] = {"status": pa.array(status, mask=status == 0), "error": _errors(words, code, ok)}
    for column, name in (("user", "threadName"), ("worker", "Hostname")):
        if name in found.column_names:
            details[column] = common.present(found[name])
    if "bytes" in found.column_names:
        size, known = common.whole_numbers(found["bytes"].to_numpy())
        details["size_bytes"] = pa.array(size, mask=~known)
    return details


def _coded(found: pa.Table, name: str) -> Coded:
    if name in found.column_names:
        return Coded.of(found[name])
    return Coded(np.zeros(len(found), dtype="int64"), [""])


def _errors(words: Coded, code: Coded, ok: Any) -> pa.Array:
    """What went wrong, in this order: the assertion's words, a code that is none (an exception), the status."""
    failed = np.flatnonzero(~ok)
    said = joined(words.where(failed), code.where(failed), lambda words, status: words or _words(status))
    codes = np.zeros(len(ok), dtype="int64")
    codes[failed] = said.codes + 1
    return Coded(codes, ["", *said.values]).array(lambda text: text or None)


def _words(status: str) -> str:
    if status.isdecimal() and len(status) == 3:
        return f"HTTP {status}"
    return status or "failed"
