"""Locust's history as CSV (NAME_stats_history.csv; with ``--csv-full-history`` for each endpoint): the totals of its last rows,
and the users over time. https://docs.locust.io/en/stable/retrieving-stats.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.accounting import Tally
from perflab.formats import Tables, _locust
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common

_FIRST = "Timestamp,User Count,Type,Name,Requests/s,"
_TOTALS = {
    "Total Request Count": "count",
    "Total Failure Count": "errors",
    "Total Median Response Time": "p50",
    "Total Average Response Time": "mean",
    "Total Min Response Time": "min",
    "Total Max Response Time": "max",
}


def sniff(head: bytes) -> bool:
    return head.startswith(_FIRST.encode())


def read(path: Path, **_: Any) -> Tables:
    tally = Tally(total=1)
    last: dict[str, dict[str, str]] = {}
    users: list[tuple[float, float]] = []
    for row in _locust.rows(path, _FIRST, "Locust's history", tally):
        count, at = _locust.number(row["User Count"]), _locust.number(row["Timestamp"])
        if count is None or at is None or count != int(count):
            tally.rows -= 1
            tally.skip(tally.total, why="no time or number of users")
            continue
        last[_locust.endpoint(row["Type"], row["Name"])] = row
        if not row["Type"]:
            users.append((at, count))
    found = common.summarized(
        path, _totals(last), "Locust's history", generator="locust", instead=_locust.INSTEAD,
        tally=tally,
        warnings=[caveats.WINDOW(), caveats.UNFINISHED()],
    )  # fmt: skip
    load = pd.DataFrame(users, columns=["time", "users"], dtype="float64")
    load["time"] = common.instants(common.microseconds(load["time"], 1e6))
    return Tables(
        {**found, "load": load.dropna()}, warnings=found.warnings, meta=found.meta, accounting=found.accounting
    )


def _totals(last: dict[str, dict[str, str]]) -> Iterator[tuple[str, str, Any]]:
    for where, row in last.items():
        for name, statistic in _TOTALS.items():
            yield where, statistic, _locust.number(row.get(name))
