"""Locust's CsvRequestLogger: https://docs.locust.io/en/stable/api.html#locust.contrib."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _block_tables, _blocks, join
from perflab.formats import _requests as common

_HEADER = ("timestamp", "request_type", "name", "response_time_ms", "response_length", "status_code", "exception")


def sniff(head: bytes) -> bool:
    return head.startswith(",".join(_HEADER).encode())


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    (first,) = _blocks.first_lines(path)
    if tuple(first.split(",")) != _HEADER:
        raise FormatError(f"{path}:1: expected the columns {','.join(_HEADER)}, found {first[:120]!r}")
    tally, kept = Tally(), common.Kept()
    numbers = ("timestamp", "response_time_ms", "response_length", "status_code")
    wanted = {name: "float" if name in numbers else "text" for name in _HEADER}
    for block in _blocks.blocks(path, tally, quotes=True):
        block = _blocks.without_header(path, block, first, tally, "Locust")
        found, lines = _block_tables.csv_table(block, _HEADER, wanted, tally)
        status, error = common.statuses(found["status_code"].to_numpy()), common.texts(found["exception"])
        ok = error.isna()
        columns = {
            "endpoint": common.endpoints(found["request_type"], found["name"]),
            "start": common.instants(common.microseconds(found["timestamp"].to_numpy(), 1e6)),
            "latency_ms": found["response_time_ms"].to_numpy(),
            "ok": ok,
            "status": status,
            "error": common.failures(error, ok, status),
            "size_bytes": common.whole(found["response_length"].to_numpy()),
        }
        yield Tables({"requests": kept.add(common.usable(columns, tally, lines + block.line))}, done=block.done)
    yield from common.finish(path, tally, kept, "rows of Locust's CsvRequestLogger", generator="locust")
