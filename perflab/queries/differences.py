"""What a change did to the queries of a request: which statements are gone, which are new, which come less often."""

from __future__ import annotations

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.notes import listed
from perflab.queries.findings_notes import ROUTES_LEFT_OUT
from perflab.queries.statements import Statements, statements
from perflab.results import findings
from perflab.stats.tests import welch_of_moments
from perflab.stats.verdicts import decide_all
from perflab.units import format_ms, format_number

COLUMNS = (
    "route", "fingerprint", "verdict", "calls_before", "calls_after", "change_low", "change_high", "p_adjusted",
    "time_before_ms", "time_after_ms",
)  # fmt: skip
ORDER = ("gone", "improved", "new", "regressed", "equivalent", "inconclusive")
_SAID = {"gone": "gone", "improved": "with fewer calls", "new": "new", "regressed": "with more calls"}
_MIN_UNITS, _TOLERANCE = 5, 0.05


def compare_queries(
    before: pd.DataFrame | Measurements, after: pd.DataFrame | Measurements, *, dialect: str | None = None
) -> pd.DataFrame:
    """Calls and time per unit of work (a request), before and after, by route and fingerprint: whether a fix took effect.

    Only routes that both sides have are compared, each with itself, so a different mix of requests changes nothing.

    Parameters
    ----------
    before, after : DataFrame or Measurements
        Queries tables, or Measurements that hold one.
    dialect : str, optional
        Of the SQL; from the tables' ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        The largest change first: route (missing where the log has none), fingerprint, verdict, calls_before and calls_after
        (mean per unit of the route), the 95 % interval of their difference (change_low, change_high; Welch 1947, over
        units), p_adjusted (Benjamini and Hochberg), time_before_ms and time_after_ms (per unit).

        ``verdict`` is about the calls: "gone", "new", "improved" (fewer), "regressed" (more), "equivalent" (the 90 %
        interval lies within 5 %) or "inconclusive", which is also that of fewer than five units on a side. There is no
        verdict on the times: two recordings are two runs, and latencies are compared by `compare` on runs of a load test.

    Raises
    ------
    ValueError
        No route is on both sides.
    SchemaError
        No sql or duration_ms column.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> lazy = ["SELECT id FROM author"] + [f"SELECT * FROM book WHERE author_id = {i}" for i in range(9)]
    >>> eager = ["SELECT id FROM author", "SELECT * FROM book WHERE author_id IN (1, 2, 3, 4, 5, 6, 7, 8, 9)"]
    >>> before, after = (pd.DataFrame({"sql": s, "duration_ms": 0.2, "unit": "r"}) for s in (lazy, eager))
    >>> lab.compare_queries(before, after)[["verdict", "calls_before", "calls_after"]].values.tolist()
    [['gone', 9.0, 0.0], ['new', 0.0, 1.0], ['inconclusive', 1.0, 1.0]]
    """
    sides = [statements(side, dialect=dialect) for side in (before, after)]
    routes = [set(s.frame["route"]) for s in sides]
    common = routes[0] & routes[1]
    if not common and all(len(s.frame) for s in sides):
        names = " and ".join(listed(sorted(r or "(no route)" for r in side)) for side in routes)
        raise ValueError(f"before and after must have a route in common; got {names}")
    tables = [_by_kind(s, common) for s in sides]
    both = tables[0].add_suffix("_before").join(tables[1].add_suffix("_after"), how="outer")
    for side, table in zip(("before", "after"), tables, strict=True):
        units = table.groupby(level="route")["units"].first() if len(table) else pd.Series(dtype="float64")
        known = both.index.get_level_values("route").map(units)
        both[f"units_{side}"] = np.asarray(known, dtype="float64")
    both = both.fillna(dict.fromkeys([c for c in both.columns if not c.startswith("units")], 0.0))
    shown = _judged(both.reset_index())
    notes = [n for s in sides for n in s.units.notes]
    if left := sorted((routes[0] ^ routes[1]) - {""}):
        notes.append(ROUTES_LEFT_OUT(routes=len(left), names=left))
    return findings(shown, _sentence(shown, sides, common), tuple(dict.fromkeys(notes)))


def _by_kind(prepared: Statements, common: set[str]) -> pd.DataFrame:
    """Mean calls, their variance and mean time for each unit of a route, by (route, fingerprint)."""
    frame = prepared.frame[prepared.frame["route"].isin(common) & prepared.frame["unit"].isin(prepared.working_units())]
    counts = frame.groupby(["route", "fp", "unit"], sort=False)["duration_ms"].agg(["size", "sum"]).reset_index()
    units = frame.groupby("route")["unit"].nunique()
    counts["squared"] = counts["size"].astype("float64") ** 2
    sums = counts.groupby(["route", "fp"])[["size", "sum", "squared"]].sum().reset_index()
    n = sums["route"].map(units).to_numpy(dtype="float64")
    mean = sums["size"].to_numpy(dtype="float64") / n
    table = pd.DataFrame(
        {
            "route": sums["route"].array,
            "fingerprint": pd.array([prepared.fingerprints[i] for i in sums["fp"]], dtype="str"),
            "units": n,
            "calls": mean,
            "variance": np.maximum(sums["squared"].to_numpy() / n - mean**2, 0) * n / np.maximum(n - 1, 1),
            "time_ms": sums["sum"].to_numpy() / n,
        }
    )
    return table.set_index(["route", "fingerprint"])


def _judged(both: pd.DataFrame) -> pd.DataFrame:
    was, now = both["calls_before"].to_numpy(), both["calls_after"].to_numpy()
    units = [both[f"units_{side}"].to_numpy(dtype="float64") for side in ("before", "after")]
    few = np.minimum(*units) < _MIN_UNITS
    moments = [
        (calls, both[f"variance_{side}"].to_numpy(), np.where(few, np.nan, n))
        for side, calls, n in zip(("before", "after"), (was, now), units, strict=True)
    ]
    decided = decide_all(
        welch_of_moments(moments[0], moments[1]),
        _TOLERANCE * np.maximum(was, now),
        absent=(was == 0, now == 0),
        complete=True,
    )
    table = pd.DataFrame(
        {
            "route": pd.array([r or None for r in both["route"]], dtype="str"),
            "fingerprint": both["fingerprint"].array,
            "verdict": pd.array(decided.verdict.astype(object), dtype="str"),
            "calls_before": was,
            "calls_after": now,
            "change_low": decided.low,
            "change_high": decided.high,
            "p_adjusted": decided.p_adjusted,
            "time_before_ms": both["time_ms_before"].to_numpy(),
            "time_after_ms": both["time_ms_after"].to_numpy(),
        }
    )
    rank = table["verdict"].map({name: place for place, name in enumerate(ORDER)}).to_numpy(dtype="int64")
    saved = (table["time_before_ms"] - table["time_after_ms"]).to_numpy()
    return table.iloc[np.lexsort((table["fingerprint"].to_numpy(dtype=object), -saved, -np.abs(now - was), rank))][
        list(COLUMNS)
    ]


def _sentence(shown: pd.DataFrame, sides: list[Statements], common: set[str]) -> str:
    if shown.empty:
        return "no statements to compare"
    counts = shown["verdict"].value_counts()
    changes = ", ".join(f"{counts[v]:,} {said}" for v, said in _SAID.items() if v in counts)
    route = _most_changed(shown, common)
    was, now = (_typical(side, route) for side in sides)
    return (
        f"{f'kinds of statement: {changes}' if changes else 'no change in calls shown'}; {route or 'a unit of work'} runs "
        f"{format_number(round(now[0], 1))} statements instead of {format_number(round(was[0], 1))} and spends "
        f"{format_ms(now[1])} in the database instead of {format_ms(was[1])}"
    )


def _most_changed(shown: pd.DataFrame, common: set[str]) -> str:
    """The route whose requests differ most in what they ask."""
    change = (shown["calls_after"] - shown["calls_before"]).abs().groupby(shown["route"].fillna("")).sum()
    return str(change.idxmax()) if len(change) else min(common)


def _typical(prepared: Statements, route: str) -> tuple[float, float]:
    """Mean statements and milliseconds of a unit of the route."""
    frame = prepared.frame[(prepared.frame["route"] == route) & prepared.frame["unit"].isin(prepared.working_units())]
    units = max(frame["unit"].nunique(), 1)
    return len(frame) / units, float(frame["duration_ms"].sum()) / units
