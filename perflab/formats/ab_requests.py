"""ab -g (ApacheBench): https://httpd.apache.org/docs/2.4/programs/ab.html; tab-separated, whole ms, starts in whole seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from perflab.data import sources
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks, join
from perflab.formats import _requests as common

_HEADER = ("starttime", "seconds", "ctime", "dtime", "ttime", "wait")
_NOTES = (
    f"ab -g writes whole milliseconds, and starts in whole seconds: {common.LENGTH}",
    "ab -g does not say which requests failed, nor then their share; look at ab's own output for failed and non-2xx responses",
    "ab -g is sorted by duration, so the order of requests within a second is lost",
)


def sniff(head: bytes) -> bool:
    return head.startswith("\t".join(_HEADER).encode())


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, *, endpoint: str = "", **_: Any) -> Iterator[Tables]:
    """Requests of ``ab -g``; ``endpoint`` says what was requested."""
    first = next(sources.lines(path), "")
    if tuple(first.split("\t")) != _HEADER:
        raise FormatError(f"{path}:1: expected the columns {' '.join(_HEADER)}, found {first[:120]!r}")
    tally, rows = _blocks.Tally(), 0
    for block in _blocks.blocks(path, tally, quotes=False):
        if block.line == 1:
            block = _blocks.Block(block.data[block.data.find(b"\n") + 1 :], 2, block.done)
        found = _blocks.csv_table(block, _HEADER, {"seconds": "float", "ttime": "float"}, tally, delimiter="\t")
        columns = {
            "endpoint": endpoint or "all requests",
            "start": common.instants(common.microseconds(found["seconds"].to_numpy(), 1e6)),
            "latency_ms": found["ttime"].to_numpy(),
            "ok": np.ones(len(found), dtype=bool),
        }
        frame = common.usable(columns, tally, np.arange(len(found)) + block.line)
        rows += len(frame)
        yield Tables({"requests": frame}, done=block.done)
    notes = [
        *_NOTES,
        *([] if endpoint else ['the file does not say what was requested: give endpoint="GET /orders" to read()']),
    ]
    yield from common.finish(
        path,
        tally,
        rows,
        "requests of ab -g",
        generator="ab",
        clock_ms=common.SECONDS_MS,
        failures="not told",
        warnings=notes,
    )
