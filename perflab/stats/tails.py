"""Quantiles of a summary that rest on too few requests, and so on chance."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from perflab.metrics import Metric
from perflab.notes import Note
from perflab.results import Findings, findings
from perflab.stats import doubts

QUANTILES: Mapping[str, float] = MappingProxyType({"p95_ms": 0.95, "p99_ms": 0.99})
"""The columns of a summary that are checked."""


def few(count: Any, share: float) -> Any:
    """Which of these request counts are too small for a stable quantile."""
    return count < Metric.of(f"p{share * 100:g}").rows_needed


def marked(table: pd.DataFrame, sentence: str | Note = "") -> Findings:
    """The summary, without quantiles that would be the maximum, and with those marked that rest on a few requests.

    ``count`` is the column with the number of requests.
    """
    count, doubtful, notes = table["count"], {}, []
    for column, share in QUANTILES.items():
        metric = Metric.of(f"p{share * 100:g}")
        none = count < metric.needs(1)
        unstable = few(count, share) & ~none
        table = table.assign(**{column: table[column].mask(none)})
        doubtful[column] = [bool(doubt) for doubt in unstable]
        if none.any():
            first, more = table[none].iloc[0], int(none.sum()) - 1
            facts = {"name": metric.name, "least": metric.needs(1), "endpoint": first["endpoint"], "run": first["run"]}
            notes.append(doubts.FEW_ROWS_FOR_QUANTILE(**facts, more=more) if more else doubts.FEW_FOR_QUANTILE(**facts))
        if unstable.any():
            notes.append(doubts.DOUBTFUL_QUANTILE(name=metric.name, needed=metric.rows_needed))
    return findings(table, sentence, notes, doubtful=doubtful)
