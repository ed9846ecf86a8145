"""What a change did to the queries of a request: which statements are gone, which are new, which come less often."""

from __future__ import annotations

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries.statements import Statements, statements
from perflab.results import count, findings
from perflab.units import format_ms, format_number

COLUMNS = (
    "route", "fingerprint", "status", "calls_before", "calls_after", "change_low", "change_high", "time_before_ms",
    "time_after_ms",
)  # fmt: skip
ORDER = ("gone", "fewer calls", "new", "more calls", "same calls")
_MIN_UNITS, _LEAST = 5, 0.05


def compare_queries(
    before: pd.DataFrame | Measurements, after: pd.DataFrame | Measurements, *, dialect: str | None = None
) -> pd.DataFrame:
    """Calls and time for a unit of work (a request), before and after, by route and fingerprint: whether a fix took effect.

    Only routes that both sides have are compared, each with itself, so a different mix of requests changes nothing.

    Parameters
    ----------
    before, after : queries tables, or Measurements that hold one.
    dialect : of the SQL; from the tables' ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame, the largest saving first: route (missing where the log has none), fingerprint, status, calls_before and
    calls_after (for each unit of the route, also those that do not ask it), the 95 % interval of their difference
    (change_low, change_high; Welch 1947, over units), time_before_ms and time_after_ms (for each unit).

    ``status`` is "gone", "new", "fewer calls", "more calls" or "same calls"; fewer and more mean that the interval excludes
    zero (with fewer than five units on a side there is none) and the change is at least 5 %. No verdict hangs on the
    times: two recordings of queries are two runs, and a p95 is compared by `compare` on runs of a load test.

    Raises
    ------
    ValueError : no route is on both sides. SchemaError : no sql or duration_ms column.

    >>> import perflab as lab, pandas as pd
    >>> lazy = ["SELECT id FROM author"] + [f"SELECT * FROM book WHERE author_id = {i}" for i in range(9)]
    >>> eager = ["SELECT id FROM author", "SELECT * FROM book WHERE author_id IN (1, 2, 3, 4, 5, 6, 7, 8, 9)"]
    >>> before, after = (pd.DataFrame({"sql": s, "duration_ms": 0.2, "unit": "r"}) for s in (lazy, eager))
    >>> lab.compare_queries(before, after)[["status", "calls_before", "calls_after"]].values.tolist()
    [['gone', 9.0, 0.0], ['new', 0.0, 1.0], ['same calls', 1.0, 1.0]]
    """
    sides = [statements(side, dialect=dialect) for side in (before, after)]
    routes = [set(s.frame["route"]) for s in sides]
    common = routes[0] & routes[1]
    if not common and all(len(s.frame) for s in sides):
        raise ValueError(f"before and after must have a route in common; got {_some(routes[0])} and {_some(routes[1])}")
    tables = [_by_kind(s, common) for s in sides]
    both = tables[0].add_suffix("_before").join(tables[1].add_suffix("_after"), how="outer")
    for side, table in zip(("before", "after"), tables, strict=True):
        units = table.groupby(level="route")["units"].first() if len(table) else pd.Series(dtype="float64")
        known = both.index.get_level_values("route").map(units)
        both[f"units_{side}"] = np.asarray(known, dtype="float64")
    both = both.fillna(dict.fromkeys([c for c in both.columns if not c.startswith("units")], 0.0))
    shown = _judged(both.reset_index())
    notes = [n for s in sides for n in s.units.notes]
    left = sorted((routes[0] ^ routes[1]) - {""})
    if left:
        notes.append(f"{count(len(left), 'route')} on one side only, left out: {_some(set(left))}")
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
    margin = _margin(both)
    change = now - was
    clear = ~(np.abs(change) <= margin) & (np.abs(change) >= _LEAST * np.maximum(was, now))
    status = np.select(
        [now == 0, was == 0, clear & (change < 0), clear & (change > 0)],
        ["gone", "new", "fewer calls", "more calls"],
        "same calls",
    )
    table = pd.DataFrame(
        {
            "route": pd.array([r or None for r in both["route"]], dtype="str"),
            "fingerprint": both["fingerprint"].array,
            "status": pd.array(status.astype(object), dtype="str"),
            "calls_before": was,
            "calls_after": now,
            "change_low": change - margin,
            "change_high": change + margin,
            "time_before_ms": both["time_ms_before"].to_numpy(),
            "time_after_ms": both["time_ms_after"].to_numpy(),
        }
    )
    rank = table["status"].map({name: place for place, name in enumerate(ORDER)}).to_numpy(dtype="int64")
    saved = (table["time_before_ms"] - table["time_after_ms"]).to_numpy()
    return table.iloc[np.lexsort((table["fingerprint"].to_numpy(dtype=object), -saved, -np.abs(change), rank))][
        list(COLUMNS)
    ]


def _margin(both: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Half the 95 % interval of the difference of calls; missing where a side has too few units to tell."""
    from scipy.special import stdtrit

    n, m = both["units_before"].to_numpy(dtype="float64"), both["units_after"].to_numpy(dtype="float64")
    a, b = both["variance_before"].to_numpy() / n, both["variance_after"].to_numpy() / m
    error = np.sqrt(a + b)
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = (a + b) ** 2 / (a**2 / np.maximum(n - 1, 1) + b**2 / np.maximum(m - 1, 1))
    margin = np.where(error > 0, stdtrit(np.where(np.isfinite(degrees), degrees, 1.0), 0.975) * error, 0.0)
    return np.where(np.minimum(n, m) >= _MIN_UNITS, margin, np.nan)


def _sentence(shown: pd.DataFrame, sides: list[Statements], common: set[str]) -> str:
    if shown.empty:
        return "no statements to compare"
    counts = shown["status"].value_counts()
    changes = ", ".join(f"{counts[s]:,} {s if s in ('gone', 'new') else 'with ' + s}" for s in ORDER[:4] if s in counts)
    route = _most_changed(shown, common)
    was, now = (_typical(side, route) for side in sides)
    request = route or "a unit of work"
    return (
        f"kinds of statement: {changes or 'nothing changed'}; {request} asks {format_number(round(now[0], 1))} statements "
        f"instead of {format_number(round(was[0], 1))} and spends {format_ms(now[1])} in the database instead of "
        f"{format_ms(was[1])}"
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


def _some(names: set[str]) -> str:
    listed = sorted(n or "(no route)" for n in names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
