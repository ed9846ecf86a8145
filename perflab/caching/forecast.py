"""The result of `what_if_cache`: each candidate with each TTL and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from perflab.caching.accesses import Accesses
from perflab.caching.latency_after import STAYS
from perflab.errors import one_of
from perflab.notes import PYTHON, Note, written
from perflab.results import Result, Shown
from perflab.units import format_bytes, format_fraction, format_ms, parse_duration, parse_size

SHOWN = (
    "candidate", "ttl_ms", "memory_bytes", "accesses", "keys", "hit_fraction", "held_bytes", "age_p95_ms", "load_saved_fraction",
    "mean_ms", "mean_after_ms", "p50_after_ms", "p95_ms", "p95_after_ms", "p95_verdict",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Forecast(Result):
    """What a cache would give.

    Attributes
    ----------
    table : for each candidate, TTL and memory: accesses, keys, hit_fraction with its bounds by invalidation (hit_low_fraction:
        a write drops all of its table; hit_high_fraction: nothing is dropped), stale_fraction (hits on what a write had changed),
        held_entries and held_bytes (peak), age_p95_ms (of an entry when it is hit), saved_ms and load_saved_fraction (of the time
        that all candidates take), and mean, p50, p95 and p99 before (``p95_ms``) and after (``p95_after_ms``), with the interval
        of the change (``p95_low_fraction``) and a verdict: "falls", "stays" (the interval lies within the tolerance), "rises" or
        "inconclusive".
    sentence : the most worthwhile candidate.
    warnings : what is assumed, and not modelled.
    accesses : what was replayed.
    """

    table: pd.DataFrame
    warnings: tuple[Note, ...]
    accesses: Accesses = field(repr=False)
    arguments: dict[str, Any] = field(default_factory=dict, repr=False)

    def find(
        self, candidate: str | None = None, *, ttl: str | float | None = None, memory: str | float | None = None
    ) -> pd.Series[Any]:
        """The first row of a candidate (the most worthwhile if not given), TTL ("5s", or s) and memory ("64MB", or bytes)."""
        rows = self.table
        if candidate is not None:
            if candidate not in set(rows["candidate"]):
                raise one_of("candidate", candidate, list(dict.fromkeys(rows["candidate"])))
            rows = rows[rows["candidate"] == candidate]
        if ttl is not None:
            rows = _among(rows, "ttl_ms", parse_duration(ttl, parameter="ttl"), format_ms)
        if memory is not None:
            rows = _among(rows, "memory_bytes", parse_size(memory, parameter="memory"), format_bytes)
        return rows.iloc[0]

    @property
    def sentence(self) -> str:
        if not len(self.table):
            return "nothing that a cache could answer"
        top = self.table.iloc[0]
        if not top["hit_fraction"]:
            return f"no cache would help: of {len(self.accesses):,} accesses none finds its key in it"
        name = str(top["candidate"])
        name = name if len(name) <= 60 else f"{name[:59]}…"
        tail = {STAYS: "while p95 stays at", "falls": "and p95 falls to", "rises": "and p95 rises to"}
        p95 = (
            f", {tail[top['p95_verdict']]} {format_ms(top['p95_after_ms'])}" if top["p95_verdict"] in tail else
            "; the change of p95 is inconclusive"
        )  # fmt: skip
        held = f" with {format_bytes(top['held_bytes'])}" if top["held_bytes"] == top["held_bytes"] else ""
        timed = top["mean_ms"] == top["mean_ms"]
        mean = f": mean {format_ms(top['mean_ms'])} → {format_ms(top['mean_after_ms'])}" if timed else ""
        return (
            f"a cache of {name} for {format_ms(top['ttl_ms'])} answers {format_fraction(top['hit_fraction'])} of "
            f"{int(top['accesses']):,} accesses{held}{mean}{p95 if timed else ''}"
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The candidates, with the columns that decide."""
        timed = self.table["mean_ms"].notna().any()
        columns = [c for c in SHOWN if self.table[c].notna().any() and (timed or c != "p95_verdict")]
        if "hit_fraction" in columns and (self.table["hit_low_fraction"] < self.table["hit_high_fraction"]).any():
            place = columns.index("hit_fraction") + 1
            columns[place:place] = ["hit_low_fraction", "hit_high_fraction"]
        return Shown(self.sentence, self.table[columns], written(self.warnings, surface), ours=True)


def _among(rows: pd.DataFrame, column: str, wanted: float, written_as: Callable[[float], str]) -> pd.DataFrame:
    """The rows with this value; ValueError names those that there are."""
    found = rows[np.isclose(rows[column], wanted)]
    if not len(found):
        held = [written_as(value) for value in sorted(rows[column].dropna().unique())]
        raise one_of(column.partition("_")[0], written_as(wanted), held)
    return found
