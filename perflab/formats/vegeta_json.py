"""vegeta's JSON lines (``vegeta encode``): https://github.com/tsenart/vegeta#encode-command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from perflab.data.accounting import Tally
from perflab.formats import Tables, _blocks, _json_lines, _vegeta, join
from perflab.formats import _requests as common

_KEYS = {"attack", "seq", "code", "timestamp", "latency"}


def sniff(head: bytes) -> bool:
    try:
        first = orjson.loads(head.lstrip().split(b"\n", 1)[0])
    except orjson.JSONDecodeError:
        return False
    return isinstance(first, dict) and first.keys() >= _KEYS


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    import pyarrow as pa

    texts, numbers = ("timestamp", "error", "method", "url"), ("code", "latency", "bytes_in")
    schema = pa.schema([*((n, pa.string()) for n in texts), *((n, pa.float64()) for n in numbers)])
    tally = Tally()
    found = (
        (block, _json_lines.json_table(block, schema, tally)) for block in _blocks.blocks(path, tally, quotes=False)
    )
    parts = (
        (block, table, np.arange(len(table)), common.iso_microseconds(table["timestamp"])) for block, table in found
    )
    yield from _vegeta.stream(path, tally, parts, "code")
