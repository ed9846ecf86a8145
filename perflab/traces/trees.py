"""Spans as trees of arrays: parents, windows, and what does not fit, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.notes import DATA, Kind, Note

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

UNFINISHED_SPANS = Kind(
    "unfinished-spans", DATA, "left out {spans:unfinished span}; what ran below them counts as their parents' own time"
)
ORPHANED_SPANS = Kind(
    "orphaned-spans",
    DATA,
    "{spans:span} name a parent that is not there and are left out; export whole traces, or sample by trace",
)
OUTLIVING_SPANS = Kind(
    "outliving-spans",
    DATA,
    "{spans:span} ended after the span that started them: nothing waited for them, so they are on no critical path",
)
SKEWED_SPANS = Kind(
    "skewed-spans",
    DATA,
    "{spans:span} of another service reach outside their parent by up to {most_ms}, which is clock skew; they were cut to it",
)
CYCLIC_SPANS = Kind("cyclic-spans", DATA, "left out {spans:span} that are their own ancestors")
_NS = 1e6
_COLUMNS = ("run", "trace", "span", "parent", "service", "name", "start", "duration_ms")


@dataclass(frozen=True)
class Trees:
    """All traces at once. ``parent`` is a position, or -1 for a root; ``first`` and ``last`` are ns on one clock.

    ``children[i]`` holds the positions of the children of span i that it waited for, by the end of their time.
    """

    frame: pd.DataFrame
    parent: Ints
    first: Ints
    last: Ints
    roots: Ints
    children: Mapping[int, list[int]]
    notes: tuple[Note, ...]


def trees_of(spans: pd.DataFrame) -> Trees:
    """The trees of a `spans` table; ValueError where columns are missing."""
    missing = [c for c in _COLUMNS if c not in spans.columns and c not in ("run", "service")]
    if missing:
        raise ValueError(f"spans needs the columns {', '.join(missing)}; it has {', '.join(map(str, spans.columns))}")
    finished = spans["duration_ms"].notna() & spans["start"].notna()
    notes = [UNFINISHED_SPANS(spans=int((~finished).sum()))] if not finished.all() else []
    frame = spans[finished].reset_index(drop=True)
    first = pd.DatetimeIndex(frame["start"]).as_unit("ns").asi8.astype("int64")
    last = first + np.rint(frame["duration_ms"].to_numpy("float64") * _NS).astype("int64")
    parent, orphans = _parents(frame)
    if orphans.any():
        notes.append(ORPHANED_SPANS(spans=int(orphans.sum())))
    depth = _depths(parent)
    cyclic = (depth < 0) & ~orphans
    if cyclic.any():
        notes.append(CYCLIC_SPANS(spans=int(cyclic.sum())))
    reachable = depth >= 0
    kept, first, last, more = _within_parents(frame, parent, depth, first, last)
    notes += more
    children: dict[int, list[int]] = {}
    waited = np.flatnonzero(kept & (parent >= 0))
    # By end, then start, then position, so that equal times have one order.
    for place in waited[np.lexsort([waited, first[waited], last[waited]])].tolist():
        children.setdefault(int(parent[place]), []).append(place)
    roots = np.flatnonzero(reachable & (parent < 0) & ~orphans)
    return Trees(frame, parent, first, last, roots, children, tuple(notes))


def _parents(frame: pd.DataFrame) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The position of each span's parent (-1 for none), and which spans name one that is not there."""
    keys = [frame[c].astype("str") for c in ("run", "trace") if c in frame.columns]
    own = pd.MultiIndex.from_arrays([*keys, frame["span"].astype("str")])
    named = frame["parent"].notna() & (frame["parent"].astype("str") != "")
    asked = pd.MultiIndex.from_arrays([*keys, frame["parent"].astype("str")])
    first_of = pd.Series(np.arange(len(frame)), index=own)
    first_of = first_of[~own.duplicated()]
    found = first_of.reindex(asked).to_numpy("float64")
    missing = np.isnan(found)
    parent = np.where(named & ~missing, np.nan_to_num(found, nan=-1), -1).astype("int64")
    return parent, (named & missing).to_numpy(dtype=bool)


def _depths(parent: Ints) -> Ints:
    """How many ancestors each span has; -1 on a cycle, and below one."""
    depth = np.where(parent < 0, 0, -1).astype("int64")
    pending = np.flatnonzero(depth < 0)
    while len(pending):
        above = depth[parent[pending]]
        known = above >= 0
        if not known.any():
            break
        depth[pending[known]] = above[known] + 1
        pending = pending[~known]
    return depth


def _within_parents(
    frame: pd.DataFrame, parent: Ints, depth: Ints, first: Ints, last: Ints
) -> tuple[npt.NDArray[np.bool_], Ints, Ints, list[Note]]:
    """Which spans their parents waited for, their windows inside the parents', and what had to be cut or left out."""
    first, last = first.copy(), last.copy()
    service = pd.factorize(frame["service"])[0] if "service" in frame.columns else np.zeros(len(frame), dtype="int64")
    kept = depth >= 0
    outliving = skewed = 0
    most = 0
    for level in range(1, int(depth.max(initial=0)) + 1):
        rows = np.flatnonzero(depth == level)
        above = parent[rows]
        late, soon = last[rows] - last[above], first[above] - first[rows]
        same = service[rows] == service[above]
        gone = (late > 0) & same
        outliving += int(gone.sum())
        kept[rows[gone]] = False
        cut = ~gone & ((late > 0) | (soon > 0))
        skewed += int(cut.sum())
        most = max(most, int(np.max(np.maximum(late, soon)[cut], initial=0)))
        first[rows] = np.clip(first[rows], first[above], last[above])
        last[rows] = np.clip(last[rows], first[above], last[above])
        kept[rows] &= kept[above]
    notes = [OUTLIVING_SPANS(spans=outliving)] if outliving else []
    if skewed:
        notes.append(SKEWED_SPANS(spans=skewed, most_ms=most / _NS))
    return kept, first, last, notes
