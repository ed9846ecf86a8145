"""N+1: one query for a list, then one more for each of its rows. Found by structure, confirmed by growth.

A child is a lookup repeated in a unit of work with different values; its parent is an earlier SELECT that could have
handed out those values. Whether the calls grow with the parent's rows, over units, separates an N+1 from a fixed fan-out.
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np
import pandas as pd

from perflab.data.stored_runs import StoredTables
from perflab.data.tables import Measurements
from perflab.errors import one_of
from perflab.queries import claims, large_logs
from perflab.queries.clocks import clock_of, timed
from perflab.queries.patterns import PATTERN_COLUMNS as PATTERN_COLUMNS
from perflab.queries.patterns import Found, found_in
from perflab.results import Findings, count, findings
from perflab.units import format_ms

FOR_PEOPLE = (
    "route",
    "evidence",
    "units",
    "calls_per_unit",
    "slope",
    "time_ms",
    "unit_time_fraction",
    "parent",
    "child",
    "suggestion",
)
"""What people read of a pattern; the rest is for those who go on computing."""


def find_n_plus_one(
    queries: pd.DataFrame | Measurements,
    threshold: int = 5,
    by: str = "pattern",
    *,
    dialect: str | None = None,
    executor: Executor | None = None,
) -> pd.DataFrame:
    """Find N+1 patterns, how certain each is, what it costs and how to fix it.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one. Of Measurements with spans, calls of Redis, Memcached and MongoDB,
        and reads from other services over HTTP, are judged, too.
    threshold : int
        A statement must be repeated at least this often in a unit of work to count.
    by : str
        "pattern" (a row for each parent, child and route) or "unit" (a row for each unit of work it occurred in).
    dialect : str, optional
        Of the SQL; taken from the table's ``dialect`` column, or "generic", when not given.
    executor : concurrent.futures.Executor, optional
        What analyses the parts of a log larger than memory. Those of a lazily opened store (`ingest`, then
        ``load(..., lazy=True)``) are analysed in parts of half a million statements; counts and times are those of the
        whole, and the test of a pattern is that of the part with most of its units.

    Returns
    -------
    DataFrame
        Worst first. by="pattern": parent, child, route, units, calls, calls_per_unit, time_ms, slope (calls for each row of
        the parent; where the log has no rows, for each row that its LIMIT allows, or for each time that a nested parent
        ran) with its 95 % interval and permutation p, evidence, suggestion, example_unit, then what fixing it would save:
        calls_saved, time_saved_ms, the share of the units' time, and the units' p95. by="unit": unit, parent, child, calls,
        distinct_parameters, time_ms, evidence.

    ``evidence`` is "confirmed" (the calls were shown to grow with the parent's rows), "likely" (too few units, or no sizes, to
    test that), "possible" (would be one of these, but the units of work rest on pauses alone, which may merge requests),
    "constant fan-out", "duplicate", "loop without parent" or "write loop"; only "confirmed" and "likely" claim an N+1.
    A tree that is read node by node is its own parent.
    Limits: SQL does not say which rows the application used, so eager loading that nothing needs is not found, nor is an N+1
    below ``threshold`` calls; without ids, transactions or an opening statement, requests can't be separated, and without ids
    a list that was committed before the loop over it is in another unit of work, so that the loop has no parent.

    ``attrs["sentence"]`` sums it up, ``attrs["warnings"]`` says what limits it. Statements appear as fingerprints, so
    that no user's data is shown.

    Raises
    ------
    ValueError
        Unknown ``by``, a threshold below 2.
    SchemaError
        No sql or duration_ms column.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> sql = ["SELECT id, name FROM author LIMIT 20"] + [f"SELECT * FROM book WHERE author_id = {i}" for i in range(20)]
    >>> start = pd.date_range("2026-01-01", periods=21, freq="ms", tz="UTC")
    >>> queries = pd.DataFrame({"run": "r", "start": start, "sql": sql, "duration_ms": 0.2, "unit": "request 1"})
    >>> lab.find_n_plus_one(queries)[["child", "calls", "evidence"]].values.tolist()
    [['select * from book where author_id = ?', 20, 'likely']]
    """
    if by not in ("pattern", "unit"):
        raise one_of("by", by, ("pattern", "unit"))
    found = _in_parts(queries, threshold, dialect, executor, by) or found_in(queries, threshold, dialect)
    return findings_of(found, by, clock_of(queries))


def findings_of(found: Found, by: str, clock: str) -> Findings:
    """What was found, as `find_n_plus_one` returns it."""
    patterns, sentence = found.patterns, _sentence(found, clock)
    if by == "unit":
        order = np.lexsort((-found.by_unit["time_ms"].to_numpy(), found.by_unit["_rank"].to_numpy()))
        return findings(found.by_unit.iloc[order].drop(columns="_rank"), sentence, found.notes)
    claimed_first = patterns.assign(_rank=patterns["_rank"].where(~patterns["evidence"].isin(claims.CLAIMS), -1))
    shown = claimed_first.sort_values(["_rank", "time_ms"], ascending=[True, False], kind="stable")[
        list(PATTERN_COLUMNS)
    ]
    return findings(shown, sentence, found.notes, shown=FOR_PEOPLE)


def _in_parts(
    queries: pd.DataFrame | Measurements, threshold: int, dialect: str | None, executor: Executor | None, by: str
) -> Found | None:
    """The patterns of a lazily opened store, part by part; None of a log that is analysed as a whole."""
    if not isinstance(queries, Measurements) or not isinstance(queries.tables, StoredTables):
        return None
    tables = queries.tables
    whole = "queries" not in tables or "spans" in tables or any(run.steps for run in tables.stored.values())
    if whole or queries.length("queries") <= large_logs.PART_ROWS:
        return None
    return large_logs.find_in_parts(tables, threshold, dialect, executor, units=by == "unit")


def _sentence(found: Found, clock: str) -> str:
    patterns, where = found.patterns, f"{count(found.statements, 'statement')} of {count(found.units, 'unit')}"
    claimed = patterns[patterns["evidence"].isin(claims.CLAIMS)]
    possible = int((patterns["evidence"] == claims.POSSIBLE).sum())
    other = len(patterns) - len(claimed) - possible
    also = f"; {count(other, 'other repetition')} that {'is' if other == 1 else 'are'} none" if other else ""
    if possible:
        also += f"; {possible} possible, in units of work that rest on pauses alone"
    if not len(claimed):
        return f"no N+1 found in {where}{also}"
    saved, time = int(claimed["calls_saved"].sum()), float(claimed["time_saved_ms"].sum())
    sure = int((claimed["evidence"] == "confirmed").sum())
    kinds = f"{sure} confirmed, {len(claimed) - sure} likely"
    return (
        f"{len(claimed)} N+1 ({kinds}) in {where}: fixing {'it' if len(claimed) == 1 else 'them'} saves "
        f"{count(saved, 'call')} and at most {timed(format_ms(time), clock)}{also}"
    )
