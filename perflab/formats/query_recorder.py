"""JSON lines of perflab's query recorders (`perflab/recorders/`): one statement a line.

    {"start": 1763942400.123456, "duration_ms": 0.21, "sql": "SELECT ...", "parameters": [1],
     "unit": "6f1c...", "route": "GET /orders", "rows": 20, "source": "shop/views.py:31"}

``start`` is in seconds since 1970 (UTC); only start, duration_ms and sql are always there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _queries
from perflab.formats._queries import Marker

_STATEMENT = Marker("duration_ms", re.compile(r'"duration_ms": ?'))
_TEXTS = ("sql", "unit", "route", "session", "database", "source", "trace", "application", "user")


def sniff(head: bytes) -> bool:
    line = head.lstrip().split(b"\n", 1)[0]
    return line.startswith(b"{") and b'"sql"' in line and b'"duration_ms"' in line and b'"start"' in line


def read(path: Path, **_: Any) -> Tables:
    tally = Tally()
    records: list[dict[str, Any]] = []
    for number, line in _queries.numbered(path, tally, _STATEMENT):
        record = _record(line) if line.strip() else None
        if record is not None:
            tally.rows += 1
            records.append(record | {"sql": _queries.cut(record["sql"], tally)})
        elif line.strip():
            tally.skip(number)
        else:
            tally.known += 1
    if not records:
        raise FormatError(f"{path}:1: expected recorded queries (JSON lines with start, duration_ms, sql), found none")
    frame = pd.DataFrame.from_records(records)
    frame["start"] = pd.to_datetime(frame["start"] * 1e9, unit="ns", utc=True)
    tally.mark(_STATEMENT.name, 0, tally.rows + tally.skipped)
    return Tables(
        {"queries": _queries.commented(frame)},
        warnings=tally.notes(path.name),
        meta={"tool": "perflab query recorder"},
        accounting=tally.account(),
    )


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict):
        return None
    numbers = (record.get("start"), record.get("duration_ms"))
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) and 0 <= n < 1e11 for n in numbers):
        return None
    if not isinstance(record.get("sql"), str):
        return None
    kept = {"start": float(record["start"]), "duration_ms": float(record["duration_ms"])}
    return kept | {
        "rows": record["rows"] if isinstance(record.get("rows"), int) else None,
        "parameters": record.get("parameters"),
        **{name: record[name] for name in _TEXTS if isinstance(record.get(name), str)},
    }
