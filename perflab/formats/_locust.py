"""What Locust's own reports share: the columns of its statistics, and what they lose.

https://docs.locust.io/en/stable/retrieving-stats.html. Measured with 2.47: percentiles have about two significant digits, and
the files of --csv are not written again at shutdown.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.data.tables import AGGREGATED
from perflab.errors import FormatError
from perflab.formats import _requests as common

INSTEAD = "run it through perflab (run, run_pairs), or with locust.contrib's CsvRequestLogger"
STATISTICS = {
    "Request Count": "count",
    "Failure Count": "errors",
    "Average Response Time": "mean",
    "Min Response Time": "min",
    "Max Response Time": "max",
    "Requests/s": "throughput_per_s",
}


def endpoint(method: Any, name: Any) -> str:
    """The endpoint; Locust's total row has the name "Aggregated" and no method."""
    if not method and name in (AGGREGATED, "Total"):
        return AGGREGATED
    return common.endpoint(str(method) if method else None, str(name))


def number(text: Any) -> float | None:
    """A number of a cell that is not negative; "N/A" and the like are none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if 0 <= value < 1e300 else None


def percentiles(row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The statistics p50, p95, p99.9, ... of columns like "50%" and "99.9%"."""
    for name, value in row.items():
        share = number(name[:-1]) if name.endswith("%") else None
        if share is not None and share < 100:
            yield f"p{share:g}", number(value)


def rows(path: Path, first: str, what: str, tally: Tally) -> Iterator[dict[str, str]]:
    """Rows of one of Locust's CSV files as cells by column; those with another number of columns are counted."""
    blanks = set[int]()
    lines = csv.reader(_noting(sources.lines(path), blanks))
    names = _cells(lines)
    if not names or not ",".join(names).startswith(first):
        raise FormatError(f"{path}:1: expected the columns {first}... of {what}, found {(names or [])[:5]}")
    tally.known += lines.line_num
    before = lines.line_num
    while (cells := _cells(lines)) != []:
        tally.total = lines.line_num
        read, before = lines.line_num - before, lines.line_num
        if cells is None or (len(cells) != len(names)) or any("\n" in cell for cell in cells):
            blank = cells is None and lines.line_num in blanks
            tally.known += blank
            tally.skip(before - read + 1, 0 if blank else read, "another number of columns")
        elif cells == names:
            raise FormatError(
                f"{path}:{before}: expected one run, found a second header: save each run to its own file"
            )
        else:
            tally.rows += 1
            tally.continued += read - 1
            yield dict(zip(names, cells, strict=True))


def _noting(lines: Iterator[str], blanks: set[int]) -> Iterator[str]:
    """The lines, noting which are blank (Locust on Windows wrote one after each row)."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            blanks.add(number)
        yield line


def _cells(lines: Any) -> list[str] | None:
    """The cells of the next row; None where it is none, empty at the end of the file."""
    try:
        return next(lines) or None
    except StopIteration:
        return []
    except csv.Error:
        return None
