"""Locust's statistics as CSV (``--csv NAME`` writes NAME_stats.csv): https://docs.locust.io/en/stable/retrieving-stats.html"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.formats import Tables, _blocks, _locust
from perflab.formats import _requests as common

_FIRST = "Type,Name,Request Count,Failure Count,"


def sniff(head: bytes) -> bool:
    return head.startswith(_FIRST.encode())


def read(path: Path, **_: Any) -> Tables:
    tally = _blocks.Tally(total=1)
    return common.summarized(
        path, list(_rows(path, tally)), "Locust's statistics", generator="locust", instead=_locust.INSTEAD,
        warnings=_notes(path, tally),
    )  # fmt: skip


def _notes(path: Path, tally: _blocks.Tally) -> Iterator[str]:
    yield from tally.warnings(path)
    yield _locust.ROUNDED
    yield _locust.UNFINISHED


def _rows(path: Path, tally: _blocks.Tally) -> Iterator[tuple[str, str, Any]]:
    seen: set[str] = set()
    for row in _locust.rows(path, _FIRST, "Locust's statistics", tally):
        where = _locust.endpoint(row["Type"], row["Name"])
        if _locust.number(row["Request Count"]) is None or where in seen:
            tally.skip(tally.total)
            continue
        seen.add(where)
        for name, statistic in _locust.STATISTICS.items():
            yield where, statistic, _locust.number(row.get(name))
        for statistic, value in _locust.percentiles(row):
            yield where, statistic, value
