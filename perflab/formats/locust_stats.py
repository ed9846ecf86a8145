"""Locust's statistics as CSV (``--csv NAME`` writes NAME_stats.csv): https://docs.locust.io/en/stable/retrieving-stats.html"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _locust
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common

_FIRST = "Type,Name,Request Count,Failure Count,"


def sniff(head: bytes) -> bool:
    return head.startswith(_FIRST.encode())


def read(path: Path, **_: Any) -> Tables:
    tally = Tally(total=1)
    rows = list(_rows(path, tally))
    return common.summarized(
        path, rows, "Locust's statistics", tally=tally, generator="locust", instead=_locust.INSTEAD,
        warnings=[caveats.ROUNDED(), caveats.UNFINISHED()],
    )  # fmt: skip


def _rows(path: Path, tally: Tally) -> Iterator[tuple[str, str, Any]]:
    seen: set[str] = set()
    for row in _locust.rows(path, _FIRST, "Locust's statistics", tally):
        where = _locust.endpoint(row["Type"], row["Name"])
        if _locust.number(row["Request Count"]) is None or where in seen:
            tally.rows -= 1
            tally.skip(tally.total, why="no count, or an endpoint that came before")
            continue
        seen.add(where)
        for name, statistic in _locust.STATISTICS.items():
            yield where, statistic, _locust.number(row.get(name))
        for statistic, value in _locust.percentiles(row):
            yield where, statistic, value
