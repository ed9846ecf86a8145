"""The critical path of each trace: the spans that its root waited for, one at any moment.

Walked backward from the root's end: the child that ended last before that moment was waited for; before it, the one that
ended last before it began, and what lies between is the parent's own time. So the segments partition the root's time.
Zhang et al. (2022), CRISP: critical path analysis of large-scale microservice architectures, USENIX ATC.

What was waited for within a span does not depend on where that span stands, so all spans are walked at once.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import one_of
from perflab.notes import Note
from perflab.results import Findings, count, findings
from perflab.traces import span_notes
from perflab.traces.operations import operations_of, retries
from perflab.traces.pieces import whole_calls
from perflab.traces.trees import Array, Ints, Trees, spans_of, trees_of
from perflab.units import format_fraction, format_ms

_BY = ("operation", "service", "segment")
_NEAR = 0.05
"""A root within this share of the ranks around a percentile stands for it."""


def critical_path(spans: pd.DataFrame | Measurements, *, by: str = "operation", percentile: float = 0.95) -> Findings:
    """What each root's time consists of: the spans that it waited for, one at any moment.

    Parameters
    ----------
    spans : DataFrame or Measurements
        A ``spans`` table, or measurements that hold one.
    by : str
        "operation" sums up by route, service and operation, "service" by route and service; "segment" returns each piece of
        each path.
    percentile : float
        Which slow roots to show next to the mean, between 0 and 1: the twentieth of the roots around it.

    Returns
    -------
    Findings
        By operation or service: route, service, operation, traces, mean_ms (on the path, per root of the route), slow_ms (for
        the roots around the percentile), path_fraction, calls (on the path, per root). By segment: run, trace, span, service,
        operation, start, duration_ms; the segments of a root add up to its duration.

    Raises
    ------
    ValueError
        Columns are missing, or there is no root.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> at = pd.to_datetime(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.010Z"], format="ISO8601")
    >>> spans = pd.DataFrame({"trace": "t", "span": ["a", "b"], "parent": [None, "a"], "service": "shop",
    ...                       "name": ["GET /", "price"], "start": at, "duration_ms": [30.0, 15.0]})
    >>> lab.critical_path(spans)[["operation", "mean_ms"]].values.tolist()
    [['GET /', 15.0], ['price', 15.0]]
    """
    if by not in _BY:
        raise one_of("by", by, _BY)
    if not 0 < percentile < 1:
        raise ValueError(f"percentile must be between 0 and 1; got {percentile!r}")
    trees = trees_of(whole_calls(spans_of(spans)))
    places, begins, ends = paths(trees)
    on_path = np.unique(places)
    operations = operations_of(trees.frame, on_path)
    again = int(np.isin(retries(trees), on_path).sum())
    notes = [*trees.notes, *([span_notes.RETRIED(calls=again)] if again else [])]
    if by == "segment":
        return _segments(trees, operations, places, begins, ends, notes)
    return _summed(trees, operations, places, ends - begins, by, percentile, notes)


def paths(trees: Trees) -> tuple[Ints, Ints, Ints]:
    """All segments of all paths: position of the span, begin and end in ns."""
    first, last, parent, kids = trees.first, trees.last, trees.parent, trees.kids
    before = _waited_before(trees)
    on = np.zeros(len(parent), dtype=bool)
    on[trees.roots] = True
    # Of a span's children, by their place in `kids`: the last one, and from each the one that was waited for before it.
    chosen = np.zeros(len(kids), dtype=bool)
    at = trees.starts[1:][trees.starts[1:] > trees.starts[:-1]] - 1
    while len(at):
        chosen[at] = True
        at = before[at]
        at = at[at >= 0]
    picked = np.flatnonzero(chosen)
    on_kid = kids[picked]
    # A parent comes before its children, so that each knows whether its parent is on the path.
    rank = np.empty(len(parent), dtype="int64")
    rank[trees.order] = np.arange(len(trees.order))
    on = _connected(parent, on, on_kid[np.argsort(rank[on_kid], kind="stable")])
    kept = on[on_kid]
    picked, on_kid = picked[kept], on_kid[kept]
    above = parent[on_kid]
    follows = np.append(above[1:] == above[:-1], False)
    until = np.where(follows, np.append(first[on_kid[1:]], 0), last[above])
    heads = np.append(True, above[1:] != above[:-1]) if len(above) else np.zeros(0, dtype=bool)
    opens = np.full(len(parent), -1, dtype="int64")
    opens[above[heads]] = first[on_kid[heads]]
    own = np.flatnonzero(on)
    places = np.concatenate([above, own])
    begins = np.concatenate([last[on_kid], first[own]])
    ends = np.concatenate([until, np.where(opens[own] >= 0, opens[own], last[own])])
    real = ends > begins
    return places[real], begins[real], ends[real]


def _waited_before(trees: Trees) -> Ints:
    """For each place in ``kids`` the one of the sibling that ended last before that child began; -1 for none."""
    kids, parent = trees.kids, trees.parent
    if not len(kids):
        return np.zeros(0, dtype="int64")
    instants, ranks = np.unique(np.concatenate([trees.first[kids], trees.last[kids]]), return_inverse=True)
    begun, ended = ranks[: len(kids)], ranks[len(kids) :]
    width = len(instants) + 1
    found = np.searchsorted(parent[kids] * width + ended, parent[kids] * width + begun, side="right") - 1
    # Of spans without a length the one before in the order.
    found = np.minimum(found, np.arange(len(kids)) - 1)
    return np.where((found >= 0) & (parent[kids[found]] == parent[kids]), found, -1)


def _connected(parent: Ints, on: Array, picked: Ints) -> Array:
    """Which of the picked children are below a root by picked ones alone; ``picked`` has parents before children."""
    found = on.tolist()
    for place, above in zip(picked.tolist(), parent[picked].tolist(), strict=True):
        if found[above]:
            found[place] = True
    return np.array(found, dtype=bool)


def _segments(trees: Trees, operations: Array, places: Ints, begins: Ints, ends: Ints, notes: list[Note]) -> Findings:
    order = np.lexsort([begins, trees.root[places]])
    chosen = trees.frame.iloc[places[order]].reset_index(drop=True)
    columns = [c for c in ("run", "trace", "span", "service") if c in chosen.columns]
    table = chosen[columns].assign(
        operation=operations[places[order]],
        start=pd.to_datetime(begins[order], utc=True),
        duration_ms=(ends - begins)[order] / 1e6,
    )
    sentence = f"{count(len(table), 'segment')} on the critical paths of {count(len(trees.roots), 'trace')}"
    return findings(table, sentence, notes)


def _summed(
    trees: Trees, operations: Array, places: Ints, lasted: Ints, by: str, percentile: float, notes: list[Note]
) -> Findings:
    roots = trees.roots
    code, routes = pd.factorize(trees.routes)
    whole = (trees.last - trees.first)[roots] / 1e6
    slow = _around(whole, code, percentile)
    at = np.full(len(trees.parent), -1, dtype="int64")
    at[roots] = np.arange(len(roots))
    root = at[trees.root[places]]
    keys = ["route", "service", *(["operation"] if by == "operation" else [])]
    pieces = pd.DataFrame({"route": code[root], "service": trees.services[places], "root": root, "place": places})
    if by == "operation":
        pieces["operation"] = operations[places]
    pieces["sum"] = lasted / 1e6
    pieces["near"] = np.where(slow[root], pieces["sum"], 0.0)
    pieces["calls"] = ~pieces["place"].duplicated()
    table = pieces.groupby(keys, sort=False, dropna=False, as_index=False)[["sum", "near", "calls"]].sum()
    traces, few = np.bincount(code), np.bincount(code[slow], minlength=len(routes))
    mine = table["route"].to_numpy()
    total = np.bincount(code, weights=whole)
    shown = table.assign(
        route=routes[mine],
        traces=traces[mine],
        mean_ms=table["sum"] / traces[mine],
        slow_ms=table["near"] / few[mine],
        path_fraction=table["sum"] / np.maximum(total[mine], 1e-9),
        calls=table["calls"] / traces[mine],
        total=total[mine],
    ).sort_values(["total", "path_fraction"], ascending=False, kind="stable")
    columns = [*keys, "traces", "mean_ms", "slow_ms", "path_fraction", "calls"]
    return findings(shown[columns], _sentence(shown, whole, code, routes, by), notes)


def _around(whole: Array, code: Ints, percentile: float) -> Array:
    """Whether each root's duration ranks near the percentile among those of its route, at least one of each."""
    frame = pd.DataFrame({"whole": whole, "code": code})
    rank = (frame.groupby("code")["whole"].rank(method="first") - 0.5) / np.bincount(code)[code]
    off = (rank - percentile).abs()
    found: Array = ((off <= _NEAR / 2) | (off == off.groupby(code).transform("min"))).to_numpy()
    return found


def _sentence(shown: pd.DataFrame, whole: Array, code: Ints, routes: Array, by: str) -> str:
    if shown.empty:
        return "the traces last no time"
    top = shown.iloc[0]
    mean = float(whole[routes[code] == top["route"]].mean())
    service = str(top["service"])
    what = (service or "one service") if by == "service" else f"{top['operation']}{f' in {service}' if service else ''}"
    return (
        f"{top['route']} takes {format_ms(mean)} on average over {count(int(top['traces']), 'trace')}; "
        f"{format_fraction(float(top['path_fraction']))} of its critical path is {what} ({format_ms(float(top['mean_ms']))})"
    )
