"""One trace as lines from top to bottom, for figures: who called what, when, and what was waited for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.traces.critical_path import paths
from perflab.traces.operations import operations_of
from perflab.traces.pieces import whole_calls
from perflab.traces.trees import Trees, spans_of, texts_of, trees_of

MOST_LINES = 40
_ALIKE = 3
Bar = tuple[float, float]
"""Begin and length in ms since the root's begin."""


@dataclass(frozen=True)
class Line:
    """A span, or so many calls of one name in a row; ``waited`` are the parts on the critical path."""

    label: str
    depth: int
    service: str
    kind: str
    bars: tuple[Bar, ...]
    waited: tuple[Bar, ...]


@dataclass(frozen=True)
class OneTrace:
    """A trace; ``left_out`` are the lines that did not fit."""

    trace: str
    route: str
    duration_ms: float
    spans: int
    lines: tuple[Line, ...]
    left_out: int


def one_trace(spans: pd.DataFrame | Measurements, trace: str | None = None) -> OneTrace:
    """The lines of a trace; of that nearest the median of the route that takes most time, where none is named."""
    table = spans_of(spans)
    if trace is not None:
        chosen = table["trace"].astype("str") == trace
        if not chosen.any():
            some = table["trace"].dropna().unique()[:3].tolist()
            raise ValueError(f"trace must be one of these spans', such as {some}; got {trace!r}")
        table = table[chosen]
    trees = trees_of(whole_calls(table.reset_index(drop=True)))
    root = _typical(trees) if trace is None else int(trees.roots[np.argmax((trees.last - trees.first)[trees.roots])])
    return _lines(trees, root)


def traces_of(spans: pd.DataFrame | Measurements) -> pd.DataFrame:
    """route, trace and duration_ms of each root, the slowest first."""
    trees = trees_of(spans_of(spans))
    frame = pd.DataFrame(
        {
            "route": trees.routes,
            "trace": trees.frame["trace"].astype("str").to_numpy()[trees.roots],
            "duration_ms": (trees.last - trees.first)[trees.roots] / 1e6,
        }
    )
    return frame.sort_values("duration_ms", ascending=False, kind="stable", ignore_index=True)


def _typical(trees: Trees) -> int:
    took = pd.DataFrame({"route": trees.routes, "took": (trees.last - trees.first)[trees.roots]})
    top = took.groupby("route")["took"].sum().idxmax()
    own = took[took["route"] == top].sort_values("took", kind="stable")
    return int(trees.roots[own.index[(len(own) - 1) // 2]])


def _lines(trees: Trees, root: int) -> OneTrace:
    mine = np.flatnonzero(trees.root == root)
    names = operations_of(trees.frame, mine)
    places, begins, ends = paths(trees)
    waited: dict[int, list[Bar]] = {}
    begin = int(trees.first[root])
    here = trees.root[places] == root
    for place, first, last in zip(places[here].tolist(), begins[here].tolist(), ends[here].tolist(), strict=True):
        waited.setdefault(place, []).append(((first - begin) / 1e6, (last - first) / 1e6))
    kinds = texts_of(trees.frame, "kind")
    lines: list[Line] = []
    stack: list[tuple[list[int], int]] = [([root], 0)]
    while stack:
        alike, depth = stack.pop()
        bars = tuple(((int(trees.first[p]) - begin) / 1e6, int(trees.last[p] - trees.first[p]) / 1e6) for p in alike)
        parts = tuple(bar for p in alike for bar in waited.get(p, ()))
        place = alike[0]
        lines.append(Line(str(names[place]), depth, str(trees.services[place]), str(kinds[place]), bars, parts))
        if len(alike) == 1:
            stack += [(group, depth + 1) for group in reversed(_alike(trees, place, names))]
    took = int(trees.last[root] - trees.first[root]) / 1e6
    route = str(trees.routes[np.flatnonzero(trees.roots == root)[0]])
    name = str(trees.frame["trace"].iloc[root])
    return OneTrace(name, route, took, len(mine), tuple(lines[:MOST_LINES]), max(0, len(lines) - MOST_LINES))


def _alike(trees: Trees, place: int, names: np.ndarray) -> list[list[int]]:
    """The children by their starts; calls of one name that call nothing themselves in one line, from three on."""
    children = sorted(trees.children(place).tolist(), key=lambda p: (trees.first[p], trees.last[p]))
    groups: list[list[int]] = []
    for child in children:
        leaf = trees.starts[child] == trees.starts[child + 1]
        if (
            groups
            and leaf
            and names[groups[-1][0]] == names[child]
            and trees.starts[groups[-1][0]] == trees.starts[groups[-1][0] + 1]
        ):
            groups[-1].append(child)
        else:
            groups.append([child])
    return [part for group in groups for part in ([group] if len(group) >= _ALIKE else [[p] for p in group])]
