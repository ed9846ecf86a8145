"""Which quantiles of a summary too few requests stand behind: the slowest few are a matter of luck."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from perflab.results import Findings, findings

QUANTILES: Mapping[str, float] = MappingProxyType({"p95_ms": 0.95, "p99_ms": 0.99})
"""The columns of a summary that this is about."""
_BEYOND = 10
"""So many requests beyond a quantile make it steady; `compare` asks for as many."""


def few(count: Any, share: float) -> Any:
    """Which of these numbers of requests are too few for a steady quantile."""
    return count < _needed(_BEYOND, share)


def _needed(beyond: int, share: float) -> int:
    return math.ceil(round(beyond / (1 - share), 6))


def marked(table: pd.DataFrame) -> Findings:
    """The summary with each quantile missing that would be the maximum, and those marked that hang on a few requests.

    ``count`` says how many requests there were.
    """
    count, doubts, notes = table["count"], {}, []
    for column, share in QUANTILES.items():
        needed, least = _needed(_BEYOND, share), _needed(1, share)
        none = count < least
        doubtful = few(count, share) & ~none
        table = table.assign(**{column: table[column].mask(none)})
        doubts[column] = [bool(doubt) for doubt in doubtful]
        name = column.removesuffix("_ms")
        if none.any():
            notes.append(f"{name} can be told from {least:,} requests on; {_rows(table, none)} fewer")
        if doubtful.any():
            notes.append(f"{name} marked ~ hangs on the slowest few: it is steady from {needed:,} requests on")
    return findings(table, "", notes, doubtful=doubts)


def _rows(table: pd.DataFrame, chosen: pd.Series) -> str:
    """``"GET /orders" in r1 and 3 more rows have``."""
    first = table[chosen].iloc[0]
    more = int(chosen.sum()) - 1
    others = "" if not more else " and 1 more row" if more == 1 else f" and {more:,} more rows"
    return f"{first['endpoint']} in {first['run']}{others} {'have' if more else 'has'}"
