"""Which quantiles of a summary too few requests stand behind: the slowest few are a matter of luck."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from perflab.findings import Findings, findings

_BEYOND = 10
"""So many requests beyond a quantile make it steady; `compare` asks for as many."""


def marked(table: pd.DataFrame, quantiles: Mapping[str, float]) -> Findings:
    """The summary with each quantile missing that would be the maximum, and those marked that hang on a few requests.

    ``quantiles`` are the columns and their shares; ``count`` says how many requests there were.
    """
    count, doubts, notes = table["count"], {}, []
    for column, share in quantiles.items():
        needed, least = (math.ceil(round(n / (1 - share), 6)) for n in (_BEYOND, 1))
        few, none = (count < needed) & (count >= least), count < least
        table = table.assign(**{column: table[column].mask(none)})
        doubts[column] = [bool(doubt) for doubt in few]
        name = column.removesuffix("_ms")
        if none.any():
            notes.append(f"{name} can be told from {least:,} requests on; {_rows(table, none)} fewer")
        if few.any():
            notes.append(f"{name} marked ~ hangs on the slowest few: it is steady from {needed:,} requests on")
    return findings(table, "", notes, doubtful=doubts)


def _rows(table: pd.DataFrame, chosen: pd.Series) -> str:
    """``"GET /orders" in r1 and 3 more rows have``."""
    first = table[chosen].iloc[0]
    more = int(chosen.sum()) - 1
    others = "" if not more else " and 1 more row" if more == 1 else f" and {more:,} more rows"
    return f"{first['endpoint']} in {first['run']}{others} {'have' if more else 'has'}"
