"""Which statements take the database's time, and whether each call is slow or there are many."""

from __future__ import annotations

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries.statements import statements
from perflab.queries.summaries import quantiles_by
from perflab.results import count, findings
from perflab.units import format_fraction, format_ms, parse_duration, parse_fraction

COLUMNS = (
    "fingerprint", "reason", "calls", "calls_per_unit", "total_ms", "time_fraction", "mean_ms", "p95_ms", "max_ms", "rows",
    "route", "slowest_unit", "source",
)  # fmt: skip
FOR_PEOPLE = ("fingerprint", "reason", "calls", "calls_per_unit", "total_ms", "time_fraction", "p95_ms", "route")
_MANY = 5.0


def find_slow(
    queries: pd.DataFrame | Measurements,
    slow: str | float = "100ms",
    least: str | float = "5%",
    *,
    dialect: str | None = None,
) -> pd.DataFrame:
    """Statements whose p95 is slow, or that take a large share of all database time.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    slow : str or float
        A p95 of this or more is slow, as "100ms" or a number of seconds.
    least : str or float
        A share of all query time from which on a statement is listed even when each call is fast.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        The largest share first: fingerprint, reason ("slow calls", "many calls" for each unit, "all calls together", or
        several), calls, calls_per_unit (in units that ask it), total_ms, time_fraction, mean_ms, p95_ms, max_ms, rows (for
        each call; missing where unknown), route and slowest_unit (of the slowest call), source.

    Raises
    ------
    ValueError
        A threshold that is no duration or share.
    SchemaError
        No sql or duration_ms column.

    Examples
    --------
    >>> import perflab as lab
    >>> lab.find_slow(lab.read("datasets/shop_queries.jsonl"))["reason"].tolist()[0]
    'many calls'
    """
    slow_ms = parse_duration(slow, parameter="slow")
    share = parse_fraction(least, parameter="least")
    prepared = statements(queries, dialect=dialect)
    frame = prepared.frame
    took = frame["duration_ms"].to_numpy(dtype="float64")
    groups = frame.groupby("fp", sort=True)
    total = groups["duration_ms"].sum()
    slowest = groups["duration_ms"].idxmax().to_numpy() if len(frame) else np.zeros(0, dtype="int64")
    table = pd.DataFrame(
        {
            "fingerprint": pd.array([prepared.fingerprints[i] for i in total.index], dtype="str"),
            "calls": groups.size().to_numpy(),
            "calls_per_unit": (groups.size() / groups["unit"].nunique()).to_numpy(dtype="float64"),
            "total_ms": total.to_numpy(),
            "time_fraction": (total / took.sum()).to_numpy() if took.sum() else np.zeros(len(total)),
            "mean_ms": groups["duration_ms"].mean().to_numpy(),
            "p95_ms": quantiles_by(frame["fp"].to_numpy(), took, 0.95),
            "max_ms": groups["duration_ms"].max().to_numpy(),
            "rows": groups["rows"].mean().to_numpy(),
            "route": pd.array(frame["route"].to_numpy(dtype=object)[slowest], dtype="str"),
            "slowest_unit": pd.array(prepared.units.names[frame["unit"].to_numpy()[slowest]], dtype="str"),
            "source": pd.array(frame["source"].to_numpy(dtype=object)[slowest], dtype="str"),
        }
    )
    table["route"] = table["route"].replace("", None)
    is_slow, is_large = table["p95_ms"] >= slow_ms, table["time_fraction"] >= share
    table.insert(1, "reason", _reasons(table, is_slow))
    shown = table[is_slow | is_large].sort_values("total_ms", ascending=False, kind="stable")[list(COLUMNS)]
    sentence = _sentence(shown, int(is_slow.sum()), slow_ms, share)
    return findings(shown, sentence, prepared.units.notes, shown=FOR_PEOPLE)


def _reasons(table: pd.DataFrame, is_slow: pd.Series[bool]) -> pd.Series[str]:
    many = table["calls_per_unit"] >= _MANY
    texts = [
        " and ".join(word for word, holds in (("slow calls", s), ("many calls", m)) if holds) or "all calls together"
        for s, m in zip(is_slow, many, strict=True)
    ]
    return pd.Series(texts, index=table.index, dtype="str")


def _sentence(shown: pd.DataFrame, slow: int, slow_ms: float, share: float) -> str:
    if shown.empty:
        return f"no statement with a p95 of {format_ms(slow_ms)}, and none with {format_fraction(share)} of the time"
    return (
        f"{count(len(shown), 'kind')} of statement {'takes' if len(shown) == 1 else 'take'} "
        f"{format_fraction(float(shown['time_fraction'].sum()))} of the database time; {slow:,} with a p95 of "
        f"{format_ms(slow_ms)} or more"
    )
