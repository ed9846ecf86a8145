"""ab -g (ApacheBench): https://httpd.apache.org/docs/2.4/programs/ab.html; tab-separated, whole ms, starts in whole seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _block_tables, _blocks, join
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common

_HEADER = ("starttime", "seconds", "ctime", "dtime", "ttime", "wait")
_NOTES = (
    caveats.whole_seconds("ab -g"),
    caveats.coarse("ab -g", "whole milliseconds"),
    caveats.NO_FAILURES(),
    caveats.SORTED(),
)


def sniff(head: bytes) -> bool:
    return head.startswith("\t".join(_HEADER).encode())


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, *, endpoint: str = "", **_: Any) -> Iterator[Tables]:
    """Requests of ``ab -g``; ``endpoint`` says what was requested."""
    (first,) = _blocks.first_lines(path)
    if tuple(first.split("\t")) != _HEADER:
        raise FormatError(f"{path}:1: expected the columns {' '.join(_HEADER)}, found {first[:120]!r}")
    tally, kept = Tally(), common.Kept()
    for block in _blocks.blocks(path, tally, quotes=False):
        block = _blocks.without_header(path, block, first, tally, "ab")
        numbers = {"seconds": "float", "ttime": "float"}
        found, lines = _block_tables.csv_table(block, _HEADER, numbers, tally, delimiter="\t")
        columns = {
            "endpoint": endpoint or "all requests",
            "start": common.instants(common.microseconds(found["seconds"].to_numpy(), 1e6)),
            "latency_ms": found["ttime"].to_numpy(),
            "ok": np.ones(len(found), dtype=bool),
        }
        yield Tables({"requests": kept.add(common.usable(columns, tally, lines + block.line))}, done=block.done)
    yield from common.finish(
        path,
        tally,
        kept,
        "requests of ab -g",
        generator="ab",
        clock_ms=common.SECONDS_MS,
        failures="unknown",
        warnings=[*_NOTES, *([] if endpoint else [caveats.no_url()])],
    )
