"""vegeta's CSV (``vegeta encode --to csv``), without a header: https://github.com/tsenart/vegeta#encode-command

Start in Unix ns, status, latency in ns, bytes out, bytes in, error, base64 body, attack, number, method, URL, base64 headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _block_tables, _blocks, _vegeta, join
from perflab.formats import _requests as common

_FIRST = re.compile(rb"\d{19},\d{1,3},\d+,\d+,\d+,")
_NAMES = (
    *("start", "status", "latency", "bytes_out", "bytes_in", "error"),
    *("body", "attack", "seq", "method", "url", "headers"),
)


def sniff(head: bytes) -> bool:
    return _FIRST.match(head) is not None


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    names = _NAMES[: _width(path)]
    numbers = ("start", "status", "latency", "bytes_in")
    texts = [name for name in ("error", "method", "url") if name in names]
    tally = Tally()
    wanted = {name: "float" if name in numbers else "text" for name in (*numbers, *texts)}
    blocks = _blocks.blocks(path, tally, quotes=True)
    found = ((block, *_block_tables.csv_table(block, names, wanted, tally)) for block in blocks)
    parts = (
        (block, table, lines, common.microseconds(table["start"].to_numpy(), 1e-3)) for block, table, lines in found
    )
    yield from _vegeta.stream(path, tally, parts, "status")


def _width(path: Path) -> int:
    (first,) = _blocks.first_lines(path)
    width = first.count(",") + 1
    if not _FIRST.match(first.encode()) or not 7 <= width <= len(_NAMES):
        raise FormatError(f"{path}:1: expected the {len(_NAMES)} columns of vegeta's CSV, found {first[:120]!r}")
    return width
