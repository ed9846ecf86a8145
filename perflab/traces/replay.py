"""Traces in virtual time: each replayed with calls that overlap, take another time, or are not made.

A span is its own time in pieces, with children between them. A child starts a fixed time after the last of the siblings that
had ended before it (they were joined), or after its parent's start; the parent ends a fixed time after the last child that it
joined. With other durations of some children, all else moves along.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perflab.traces.operations import CALL_KINDS
from perflab.traces.trees import Array, Ints, Trees, texts_of


def replayed(trees: Trees, group: Ints, factor: Mapping[int, float]) -> Array:
    """How long each root takes, in ns.

    ``group``: siblings with the same number (0 or more) that follow each other start together, each as soon as the work
    between them is done. ``factor``: by the position of a span, the share of its time that it still takes.
    """
    took = (trees.last - trees.first).astype("float64")
    changed = np.zeros(len(took), dtype=bool)
    changed[np.flatnonzero(group >= 0)] = True
    changed[list(factor)] = True
    changed &= trees.root >= 0
    busy = np.zeros(len(took), dtype=bool)
    now = trees.parent[changed]
    while len(now := np.unique(now[now >= 0])):
        now = now[~busy[now]]
        busy[now] = True
        now = trees.parent[now]
    calls = np.isin(texts_of(trees.frame, "kind"), [*CALL_KINDS, ""])
    for place in trees.order[::-1].tolist():
        if busy[place]:
            took[place] = _length(trees, place, took, group, calls)
        if place in factor:
            took[place] *= factor[place]
    return took[trees.roots]


def _length(trees: Trees, place: int, took: Array, group: Ints, calls: Array) -> float:
    """The new length of a span from those of its children."""
    by_end = trees.children(place).tolist()
    first, last = trees.first, trees.last
    begin = int(first[place])
    latest, at, joined_at, joined = 0.0, 0, begin, 0.0
    new_start, new_end = dict[int, float](), dict[int, float]()
    called = -1  # the last call that was joined
    for child in sorted(by_end, key=lambda c: (first[c], last[c])):
        start, mine = int(first[child]), int(group[child])
        # All siblings that had ended when this one started were joined before it.
        while at < len(by_end) and last[by_end[at]] <= start and by_end[at] in new_end:
            latest = max(latest, new_end[by_end[at]])
            joined_at, joined = int(last[by_end[at]]), latest
            called = by_end[at] if calls[by_end[at]] or group[by_end[at]] >= 0 else called
            at += 1
        together = mine >= 0 and called >= 0 and group[called] == mine
        # What the parent itself does between two calls, it does between their starts too.
        new_start[child] = (new_start[called] if together else joined) + (start - joined_at)
        new_end[child] = new_start[child] + float(took[child])
    # What the span did after the last child that it joined, it does after the new last one.
    return max(new_end.values()) + int(last[place] - last[by_end[-1]]) if by_end else float(took[place])
