"""What another order or speed of calls would give: each trace replayed in virtual time.

A span is its own time in pieces, with children between them. A child starts a fixed time after the last of the siblings that
had ended before it (they were joined), or after its parent's start; the parent ends a fixed time after the last child that it
joined. With other durations of some children, all else moves along.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.notes import DESIGN, Kind
from perflab.results import Findings, count, findings
from perflab.stats.distributions import t_ppf
from perflab.traces.trees import Array, Trees, trees_of
from perflab.units import format_fraction, format_ms

CAPACITY = Kind(
    "assumes-capacity",
    DESIGN,
    "the prediction assumes that what is called bears {most} calls at once from one request as fast as it bears one",
)
NO_TAIL = Kind(
    "no-tail-prediction",
    DESIGN,
    "p95 is predicted from {needed:run} on, with its interval; these spans are of {runs:run}",
)
_RUNS_FOR_TAIL = 6


@dataclass(frozen=True)
class _Asked:
    parallel: frozenset[str]
    factor: Mapping[str, float]


def what_if(
    spans: pd.DataFrame | Measurements,
    *,
    parallel: str | Collection[str] = (),
    faster: Mapping[str, float] | None = None,
    without: str | Collection[str] = (),
) -> Findings:
    """Predict how long the traces would take if some of their calls overlapped, were faster, or were not made.

    Parameters
    ----------
    spans : DataFrame or Measurements
        A ``spans`` table, or measurements that hold one.
    parallel : str or collection of str
        Names of calls; siblings of these names start together, when the first of them starts.
    faster : mapping of str to float
        By the name of a call, the share of its time that it would still take (0.5: half).
    without : str or collection of str
        Names of calls that would not be made.

    Returns
    -------
    Findings
        route, statistic ("mean", "p50", and "p95" from six runs on), traces, before_ms, after_ms, change_ms, change_low_ms,
        change_high_ms (95 % over runs; missing with fewer than two).

    Raises
    ------
    ValueError
        Nothing was asked, a name that no span has, or a share below zero.

    Examples
    --------
    >>> import pandas as pd
    >>> at = pd.to_datetime(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.002Z", "2026-01-01T00:00:00.014Z"], format="ISO8601")
    >>> spans = pd.DataFrame({"trace": "t", "span": ["a", "b", "c"], "parent": [None, "a", "a"], "service": "shop",
    ...                       "name": ["GET /", "price", "stock"], "start": at, "duration_ms": [30.0, 12.0, 10.0]})
    >>> what_if(spans, parallel=["price", "stock"])[["statistic", "before_ms", "after_ms"]].values.tolist()
    [['mean', 30.0, 20.0], ['p50', 30.0, 20.0]]
    """
    table = spans.spans if isinstance(spans, Measurements) else spans
    asked = _asked(table, parallel, faster or {}, without)
    trees = trees_of(table)
    before = (trees.last - trees.first)[trees.roots] / 1e6
    after = replayed(trees, asked.parallel, asked.factor) / 1e6
    rows = _rows(trees, before, after)
    notes = list(trees.notes)
    if asked.parallel:
        notes.append(CAPACITY(most=len(asked.parallel)))
    runs = int(trees.frame["run"].nunique()) if "run" in trees.frame.columns else 1
    if runs < _RUNS_FOR_TAIL:
        notes.append(NO_TAIL(needed=_RUNS_FOR_TAIL, runs=runs))
    return findings(rows, _sentence(rows), notes)


def _asked(
    table: pd.DataFrame, parallel: str | Collection[str], faster: Mapping[str, float], without: str | Collection[str]
) -> _Asked:
    together = frozenset([parallel] if isinstance(parallel, str) else parallel)
    gone = frozenset([without] if isinstance(without, str) else without)
    if not (together or faster or gone):
        raise ValueError("what_if needs parallel=, faster= or without=; got none of them")
    known = set(table["name"].dropna().astype("str"))
    for parameter, names in (("parallel", together), ("faster", frozenset(faster)), ("without", gone)):
        if unknown := sorted(names - known):
            there = ", ".join(repr(n) for n in sorted(known)[:8])
            raise ValueError(f"{parameter} must name spans ({there}); got {unknown[0]!r}")
    for name, share in faster.items():
        if not (isinstance(share, (int, float)) and math.isfinite(share) and share >= 0):
            raise ValueError(f"faster must map names to shares of zero or more; got {name!r}: {share!r}")
    return _Asked(together, {**{name: float(share) for name, share in faster.items()}, **dict.fromkeys(gone, 0.0)})


def replayed(trees: Trees, parallel: Collection[str], factor: Mapping[str, float]) -> Array:
    """How long each root takes, in ns, in virtual time with the changes made."""
    names = trees.frame["name"].astype("str").to_list()
    first, last, children = trees.first.tolist(), trees.last.tolist(), trees.children
    took: dict[int, float] = {}
    for place in _deepest_first(trees):
        own = children.get(place)
        took[place] = (
            float(last[place] - first[place])
            if not own
            else _span(place, own, names, first, last, took, frozenset(parallel))
        )
        if (share := factor.get(names[place])) is not None:
            took[place] *= share
    return np.array([took[root] for root in trees.roots.tolist()])


def _deepest_first(trees: Trees) -> list[int]:
    order: list[int] = []
    stack = trees.roots.tolist()
    while stack:
        place = stack.pop()
        order.append(place)
        stack.extend(trees.children.get(place, ()))
    return order[::-1]


def _span(
    place: int,
    own: list[int],
    names: list[str],
    first: list[int],
    last: list[int],
    took: Mapping[int, float],
    parallel: frozenset[str],
) -> float:
    """The new length of a span from those of its children, which are in the order of their ends."""
    begin, end = first[place], last[place]
    latest, at, joined_at, joined = 0.0, 0, begin, 0.0
    new_end: dict[int, float] = {}
    before: float | None = None  # when the sibling before started, if the two are to overlap
    for child in sorted(own, key=lambda child: (first[child], last[child])):
        # All siblings that had ended when this one started were joined before it.
        while at < len(own) and last[own[at]] <= first[child] and own[at] in new_end:
            latest = max(latest, new_end[own[at]])
            joined_at, joined = last[own[at]], latest
            at += 1
        worked = first[child] - joined_at
        together = names[child] in parallel
        # What the parent itself does between two calls, it does between their starts too.
        start = before + worked if together and before is not None else joined + worked
        before = start if together else None
        new_end[child] = start + took[child]
    # What the span did after the last child that it joined, it does after the new last one.
    return max(new_end.values()) + (end - max(last[child] for child in own))


def _rows(trees: Trees, before: Array, after: Array) -> pd.DataFrame:
    frame = trees.frame.iloc[trees.roots]
    route = frame["name"].to_numpy(dtype=object)
    if "route" in frame.columns:
        route = frame["route"].where(frame["route"].notna(), frame["name"]).to_numpy(dtype=object)
    run = frame["run"].to_numpy(dtype=object) if "run" in frame.columns else np.full(len(frame), "")
    roots = pd.DataFrame({"route": route, "run": run, "before": before, "after": after})
    changed = roots.groupby("route", sort=False).filter(lambda own: bool((own["before"] != own["after"]).any()))
    chosen = changed if len(changed) else roots
    rows = []
    for name, own in chosen.groupby("route", sort=False):
        runs = own["run"].nunique()
        statistics = {"mean": None, "p50": 0.5} | ({"p95": 0.95} if runs >= _RUNS_FOR_TAIL else {})
        rows += [_row(str(name), own, label, share) for label, share in statistics.items()]
    return pd.DataFrame(rows)


def _row(route: str, own: pd.DataFrame, statistic: str, share: float | None) -> dict[str, object]:
    def of(values: pd.Series) -> float:
        return float(values.mean() if share is None else np.quantile(values, share, method="median_unbiased"))

    by_run = own.groupby("run", sort=False)
    each = by_run["after"].agg(of) - by_run["before"].agg(of)
    low = high = math.nan
    if len(each) > 1:
        half = float(t_ppf(0.975, len(each) - 1) * each.std(ddof=1)) / math.sqrt(len(each))
        low, high = float(each.mean()) - half, float(each.mean()) + half
    before = float(by_run["before"].agg(of).mean())
    return {
        "route": route, "statistic": statistic, "traces": len(own), "before_ms": before,
        "after_ms": before + float(each.mean()), "change_ms": float(each.mean()), "change_low_ms": low, "change_high_ms": high,
    }  # fmt: skip


def _sentence(rows: pd.DataFrame) -> str:
    top = rows.iloc[0]
    if not top["change_ms"]:
        return f"{top['route']} would take as long as before, {format_ms(float(top['before_ms']))} on average"
    share = format_fraction(abs(float(top["change_ms"])) / float(top["before_ms"]))
    direction = "less" if top["change_ms"] < 0 else "more"
    return (
        f"{top['route']} would take {format_ms(float(top['after_ms']))} on average instead of "
        f"{format_ms(float(top['before_ms']))} ({share} {direction}), over {count(int(top['traces']), 'trace')}"
    )
