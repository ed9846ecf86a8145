"""The critical path of each trace: the spans that its root waited for, one at any moment.

Walked backward from the root's end: the child that ended last before that moment was waited for; before it, the one that
ended last before it began, and what lies between is the parent's own time. So the segments partition the root's time.
Zhang et al. (2022), CRISP: critical path analysis of large-scale microservice architectures, USENIX ATC.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.results import Findings, count, findings
from perflab.traces.trees import Array, Trees, trees_of
from perflab.units import format_fraction, format_ms

_BY = ("operation", "segment")
_NEAR = 0.05
"""A root within this share of the ranks around a percentile stands for it."""


def critical_path(spans: pd.DataFrame | Measurements, *, by: str = "operation", percentile: float = 0.95) -> Findings:
    """Of what each root's time consists: the spans that it waited for.

    Parameters
    ----------
    spans : DataFrame or Measurements
        A ``spans`` table, or measurements that hold one.
    by : str
        "operation" sums up by route, service and name; "segment" gives each piece of each path.
    percentile : float
        Which slow roots stand beside the mean, between 0 and 1: the twentieth of the roots around it.

    Returns
    -------
    Findings
        By operation: route, service, name, traces, mean_ms (on the path, for each root of the route), slow_ms (for the roots
        around the percentile), path_fraction, calls (on the path, for each root). By segment: run, trace, span, service,
        name, start, duration_ms; the segments of a root add up to its duration.

    Raises
    ------
    ValueError
        Columns are missing, or no root is there.

    Examples
    --------
    >>> import pandas as pd
    >>> at = pd.to_datetime(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.010Z"], format="ISO8601")
    >>> spans = pd.DataFrame({"trace": "t", "span": ["a", "b"], "parent": [None, "a"], "service": "shop",
    ...                       "name": ["GET /", "SELECT"], "start": at, "duration_ms": [30.0, 15.0]})
    >>> critical_path(spans)[["name", "mean_ms"]].values.tolist()
    [['GET /', 15.0], ['SELECT', 15.0]]
    """
    if by not in _BY:
        raise ValueError(f"by must be one of {', '.join(_BY)}; got {by!r}")
    if not 0 < percentile < 1:
        raise ValueError(f"percentile must be between 0 and 1; got {percentile!r}")
    trees = trees_of(spans.spans if isinstance(spans, Measurements) else spans)
    if not len(trees.roots):
        raise ValueError("spans holds no root (a span without a parent), so there is no path")
    places, roots, begins, ends = paths(trees)
    if by == "segment":
        return _segments(trees, places, roots, begins, ends)
    return _operations(trees, places, roots, ends - begins, percentile)


def paths(trees: Trees) -> tuple[Array, Array, Array, Array]:
    """All segments of all paths: position of the span, of its root, begin and end in ns."""
    first, last, children = trees.first.tolist(), trees.last.tolist(), trees.children
    places: list[int] = []
    owners: list[int] = []
    begins: list[int] = []
    ends: list[int] = []

    def piece(place: int, root: int, begin: int, end: int) -> None:
        if end > begin:
            places.append(place)
            owners.append(root)
            begins.append(begin)
            ends.append(end)

    for root in trees.roots.tolist():
        stack = [root]
        while stack:
            place = stack.pop()
            at = last[place]
            for child in reversed(children.get(place, ())):
                # A child that was still running at that moment can't be what was waited for before it.
                if last[child] > at:
                    continue
                piece(place, root, last[child], at)
                at = first[child]
                stack.append(child)
            piece(place, root, first[place], at)
    return np.array(places), np.array(owners), np.array(begins), np.array(ends)


def _segments(trees: Trees, places: Array, roots: Array, begins: Array, ends: Array) -> Findings:
    order = np.lexsort([begins, roots])
    chosen = trees.frame.iloc[places[order]].reset_index(drop=True)
    columns = [c for c in ("run", "trace", "span", "service", "name") if c in chosen.columns]
    table = chosen[columns].assign(
        start=pd.to_datetime(begins[order], utc=True), duration_ms=(ends - begins)[order] / 1e6
    )
    sentence = f"{count(len(table), 'segment')} on the critical paths of {count(len(trees.roots), 'trace')}"
    return findings(table, sentence, trees.notes)


def _operations(trees: Trees, places: Array, roots: Array, lasted: Array, percentile: float) -> Findings:
    frame = trees.frame
    routes = _routes(trees)
    pieces = pd.DataFrame(
        {
            "root": roots,
            "place": places,
            "route": routes.reindex(roots).to_numpy(),
            "service": frame["service"].to_numpy()[places] if "service" in frame.columns else "",
            "name": frame["name"].to_numpy()[places],
            "took_ms": lasted / 1e6,
        }
    )
    whole = pd.Series((trees.last - trees.first)[trees.roots] / 1e6, index=trees.roots)
    slow = _around(whole, routes, percentile)
    keys = ["route", "service", "name"]
    sizes, slow_sizes = routes.value_counts(), routes[slow].value_counts()
    total = pieces.groupby(keys, sort=False, dropna=False)
    table = total["took_ms"].sum().rename("sum").reset_index()
    near = pieces[pieces["root"].isin(slow)].groupby(keys, sort=False, dropna=False)["took_ms"].sum().rename("near")
    table = table.merge(near.reset_index(), on=keys, how="left").fillna({"near": 0.0})
    calls = pieces.drop_duplicates(["root", "place"]).groupby(keys, sort=False, dropna=False).size().rename("seen")
    table = table.merge(calls.reset_index(), on=keys, how="left")
    traces = table["route"].map(sizes)
    of_route = table.groupby("route")["sum"].transform("sum")
    shown = table.assign(
        traces=traces,
        mean_ms=table["sum"] / traces,
        slow_ms=table["near"] / table["route"].map(slow_sizes),
        path_fraction=table["sum"] / of_route,
        calls=table["seen"] / traces,
    )
    shown = shown.sort_values(["path_fraction"], ascending=False, kind="stable").sort_values(
        ["route"], key=lambda r: r.map(of_route.groupby(table["route"]).first()), ascending=False, kind="stable"
    )
    columns = [*keys, "traces", "mean_ms", "slow_ms", "path_fraction", "calls"]
    return findings(shown[columns], _sentence(shown, whole, routes), trees.notes)


def _routes(trees: Trees) -> pd.Series:
    """The route of each root: its own, else its name."""
    frame = trees.frame.iloc[trees.roots]
    names = frame["name"]
    if "route" in frame.columns:
        names = frame["route"].where(frame["route"].notna(), names)
    return pd.Series(names.to_numpy(), index=trees.roots)


def _around(whole: pd.Series, routes: pd.Series, percentile: float) -> Array:
    """The roots whose duration ranks near the percentile among those of their route, at least one of each."""
    rank = (whole.groupby(routes).rank(method="first") - 0.5) / routes.map(routes.value_counts())
    off = (rank - percentile).abs()
    nearest = off.groupby(routes).transform("min")
    chosen: Array = whole.index[(off <= _NEAR / 2) | (off == nearest)].to_numpy()
    return chosen


def _sentence(shown: pd.DataFrame, whole: pd.Series, routes: pd.Series) -> str:
    if shown.empty:
        return "the traces last no time"
    top = shown.iloc[0]
    mean = float(whole[routes == top["route"]].mean())
    service = f" in {top['service']}" if isinstance(top["service"], str) and top["service"] else ""
    return (
        f"{top['route']} takes {format_ms(mean)} on average over {count(int(top['traces']), 'trace')}; "
        f"{format_fraction(float(top['path_fraction']))} of its critical path is {top['name']}{service} "
        f"({format_ms(float(top['mean_ms']))})"
    )
