"""``COPY (SELECT * FROM pg_stat_statements) TO STDOUT WITH CSV HEADER``: https://www.postgresql.org/docs/current/pgstatstatements.html

Sums since the last reset, without requests or transactions: they become a ``summary`` that can rank statements, and no
``queries``, in which patterns are looked for.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data import sources
from perflab.errors import FormatError
from perflab.formats import Tables
from perflab.formats._queries import Skipped, cut

_STATISTICS = (
    ("count", ("calls",), ""),
    ("total", ("total_exec_time", "total_time"), "ms"),
    ("mean", ("mean_exec_time", "mean_time"), "ms"),
    ("min", ("min_exec_time", "min_time"), "ms"),
    ("max", ("max_exec_time", "max_time"), "ms"),
    ("stddev", ("stddev_exec_time", "stddev_time"), "ms"),
    ("rows", ("rows",), ""),
)
"""Names since version 1.8 (PostgreSQL 13), and before it."""


def sniff(head: bytes) -> bool:
    names = {n.strip(' "\r') for n in head.split(b"\n", 1)[0].decode("utf-8", errors="replace").split(",")}
    return (
        {"query", "calls", "rows"} <= names and bool(names & {"total_exec_time", "total_time"}) and "queryid" in names
    )


def read(path: Path, **_: Any) -> Tables:
    """A summary: for each statement count, total, mean, min, max, stddev (in ms) and rows; ``endpoint`` is its text."""
    skipped = Skipped()
    rows: list[dict[str, Any]] = []
    for number, record in _records(path, skipped):
        found = _statistics(record, cut(record["query"], skipped))
        if found:
            rows += found
        else:
            skipped.line(number)
    if not rows:
        raise FormatError(f"{path}:1: expected the columns query, calls and total_exec_time with values, found none")
    notes = [
        *skipped.warnings(path),
        "pg_stat_statements adds statements up over all requests: they can be ranked, but no pattern such as an N+1 can "
        "be found in them; log statements (log_min_duration_statement = 0) or record them for that",
    ]
    return Tables({"summary": pd.DataFrame(rows)}, warnings=notes, meta={"tool": "pg_stat_statements"})


def _records(path: Path, skipped: Skipped) -> Iterator[tuple[int, dict[str, str]]]:
    lines = csv.reader(line + "\n" for line in sources.lines(path))
    try:
        names = next(lines, [])
        for row in lines:
            skipped.total = lines.line_num
            if len(row) == len(names) and "query" in names:
                yield lines.line_num, dict(zip(names, row, strict=True))
            elif row:
                skipped.line(lines.line_num)
    except csv.Error:
        skipped.line(lines.line_num)


def _statistics(record: dict[str, str], query: str) -> list[dict[str, Any]]:
    found = []
    for statistic, columns, unit in _STATISTICS:
        text = next((record[c] for c in columns if c in record), "")
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            found.append({"endpoint": query, "statistic": statistic, "value": value, "unit": unit})
    return found if found and found[0]["statistic"] == "count" and query else []
