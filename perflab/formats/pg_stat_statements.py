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
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables
from perflab.formats import _log_notes as notes
from perflab.formats._queries import cut

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
    first = head.split(b"\n", 1)[0].decode("utf-8", errors="replace")
    names = {n.strip(' "\r') for n in first.split(_separator(head))}
    return {"query", "calls"} <= names and bool(
        names & {"total_exec_time", "total_time", "mean_exec_time", "mean_time"}
    )


def read(path: Path, **_: Any) -> Tables:
    """A summary: for each statement count, total, mean, min, max, stddev (in ms) and rows; ``endpoint`` is its text."""
    tally = Tally()
    rows: list[dict[str, Any]] = []
    for number, lines, record in _records(path, tally):
        if found := _statistics(record, cut(record["query"], tally)):
            rows += found
            tally.rows += 1
            tally.continued += lines - 1
        else:
            tally.skip(number, lines, "no calls or times")
    if not rows:
        raise FormatError(f"{path}:1: expected the columns query, calls and total_exec_time with values, found none")
    warnings = [*tally.notes(path.name), notes.SUMS_ONLY()]
    frame = pd.DataFrame(rows)
    return Tables(
        {"summary": frame}, warnings=warnings, meta={"tool": "pg_stat_statements"}, accounting=tally.account()
    )


def _records(path: Path, tally: Tally) -> Iterator[tuple[int, int, dict[str, str]]]:
    """The number of the first line of each record, how many lines it has, and its fields."""
    separator = _separator(sources.head(path))
    lines = csv.reader((line + "\n" for line in sources.lines(path)), delimiter=separator)
    try:
        names = next(lines, [])
        tally.known = before = lines.line_num
        for row in lines:
            first, count, before = before + 1, lines.line_num - before, lines.line_num
            if len(row) == len(names) and "query" in names:
                yield first, count, dict(zip(names, row, strict=True))
            elif row:
                tally.skip(first, count, f"{len(row)} columns, not {len(names)}")
            else:
                tally.known += count
    except csv.Error as problem:
        tally.skip(before + 1, lines.line_num - before, str(problem))
    tally.total = lines.line_num


def _separator(head: bytes) -> str:
    first = head.split(b"\n", 1)[0]
    return ";" if first.count(b";") > first.count(b",") else ","


def _statistics(record: dict[str, str], query: str) -> list[dict[str, Any]]:
    found = []
    for statistic, columns, unit in _STATISTICS:
        text = next((record[c] for c in columns if c in record), "")
        try:
            value = float(text.replace(",", "."))  # of a server with a decimal comma
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            found.append({"endpoint": query, "statistic": statistic, "value": value, "unit": unit})
    return found if found and found[0]["statistic"] == "count" and query else []
