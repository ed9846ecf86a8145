"""vegeta's JSON lines (``vegeta encode``): https://github.com/tsenart/vegeta#encode-command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from perflab.formats import Tables, _blocks, join
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
    tally, rows = _blocks.Tally(), 0
    for block in _blocks.blocks(path, tally, quotes=False):
        found = _blocks.json_table(block, schema, tally)
        status, error = common.statuses(found["code"].to_numpy()), common.texts(found["error"])
        ok = (status < 400).fillna(False).astype(bool) & error.isna()
        columns = {
            "endpoint": common.endpoints(found["method"], found["url"]),
            "start": common.instants(common.iso_microseconds(found["timestamp"])),
            "latency_ms": found["latency"].to_numpy() / 1e6,
            "ok": ok,
            "status": status,
            "error": common.failures(error, ok, status),
            "size_bytes": common.whole(found["bytes_in"].to_numpy()),
        }
        frame = common.usable(columns, tally, np.arange(len(found)) + block.line)
        rows += len(frame)
        yield Tables({"requests": frame}, done=block.done)
    yield from common.finish(path, tally, rows, "results of vegeta", generator="vegeta")
