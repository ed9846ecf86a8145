"""Spans as trees of arrays: parents, windows on one clock, and what does not fit, counted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.notes import Note
from perflab.traces import span_notes as notes_of

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Array = npt.NDArray[Any]

_NS = 1e6
_COLUMNS = ("trace", "span", "parent", "name", "start", "duration_ms")
_LONGEST_MS = 30 * 86_400_000.0
UNNAMED = "(unnamed)"
_SERVES = ("server", "consumer")
_ROUNDING_NS, _ROUNDING = 1_000_000, 0.05
"""A span that ends after its parent by no more than this, and this share of its length, was rounded."""


@dataclass(frozen=True, eq=False)
class Trees:
    """All traces at once. ``parent`` is a position, or -1 for a root; ``first`` and ``last`` are ns on the root's clock.

    ``root`` is the position of each span's root, -1 where nothing waited for it. ``order`` holds the spans with a root, parents
    before children. The children that a span waited for are ``kids[starts[i]:starts[i + 1]]``, by the end of their time.
    """

    frame: pd.DataFrame
    parent: Ints
    first: Ints
    last: Ints
    root: Ints
    order: Ints
    kids: Ints
    starts: Ints
    notes: tuple[Note, ...]

    @cached_property
    def roots(self) -> Ints:
        """The positions of the roots."""
        return np.flatnonzero((self.parent < 0) & (self.root >= 0))

    def children(self, place: int) -> Ints:
        """The children that a span waited for, by their ends."""
        return self.kids[self.starts[place] : self.starts[place + 1]]

    @cached_property
    def services(self) -> Array:
        """The service of each span, "" where it is not known."""
        return texts_of(self.frame, "service")

    @cached_property
    def routes(self) -> Array:
        """The route of each root, by the order of ``roots``: its own, else its name."""
        rows = self.frame.iloc[self.roots]
        routes, names = texts_of(rows, "route"), texts_of(rows, "name")
        chosen: Array = np.where(routes == "", names, routes)
        return np.where(chosen == "", UNNAMED, chosen).astype(object)


def spans_of(spans: pd.DataFrame | Measurements) -> pd.DataFrame:
    """The spans of measurements, or the table itself."""
    table = spans.spans if isinstance(spans, Measurements) else spans
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"spans must be a spans table or Measurements; got {type(spans).__name__}")
    missing = [c for c in _COLUMNS if c not in table.columns]
    if not len(table):
        raise ValueError("spans must hold at least one span; got none")
    if missing:
        raise ValueError(f"spans needs the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    took = pd.to_numeric(table["duration_ms"], errors="coerce")
    if impossible := int(((took < 0) | (took > _LONGEST_MS)).sum()):
        raise ValueError(
            f"spans: duration_ms is negative, infinite or above 30 days in {impossible:,} of {len(table):,} rows"
        )
    return table if table.index.is_unique else table.reset_index(drop=True)


def sampled(table: pd.DataFrame, most: int) -> Flags | None:
    """The spans of at most so many traces of each route, evenly spaced; None where there are no more than that."""
    keys = [table[c] for c in ("run", "trace") if c in table.columns]
    trace = table.groupby([k.astype("object").fillna("") for k in keys], sort=False).ngroup().to_numpy()
    count = int(trace.max(initial=-1)) + 1
    if count <= most:
        return None
    route = texts_of(table, "route" if "route" in table.columns else "name")
    top = np.flatnonzero(~(table["parent"].notna() & (table["parent"].astype("object") != "")).to_numpy())
    routes = np.full(count, "", dtype=object)
    routes[trace[top]] = route[top]
    code = pd.factorize(routes)[0]
    place = pd.Series(code).groupby(code).cumcount().to_numpy()
    sizes = np.bincount(code)[code]
    # The first of each of so many equal parts.
    kept = (place * most // sizes) != ((place - 1) * most // sizes)
    kept |= sizes <= most
    return None if kept.all() else kept[trace]


def texts_of(frame: pd.DataFrame, column: str) -> Array:
    """A column as texts, "" where it is missing."""
    if column not in frame.columns:
        return np.full(len(frame), "", dtype=object)
    found: Array = frame[column].astype("object").where(frame[column].notna(), "").to_numpy()
    return found


def trees_of(spans: pd.DataFrame | Measurements) -> Trees:
    """The trees of a `spans` table; ValueError where columns are missing or no span is a root."""
    table = spans_of(spans)
    finished = (table["duration_ms"].notna() & table["start"].notna()).to_numpy()
    notes = [notes_of.UNFINISHED(spans=int((~finished).sum()))] if not finished.all() else []
    parent, twice, missing = _parents(table)
    parent = _past(parent, ~finished)
    # Below an unfinished root there is no parent either.
    missing |= (parent == -2) & ~twice
    kept = finished & ~twice
    if twice.any():
        notes.append(notes_of.DUPLICATED(spans=int(twice.sum())))
    place = np.full(len(table) + 2, -1, dtype="int64")
    place[np.flatnonzero(kept)] = np.arange(int(kept.sum()))
    frame = table[kept].reset_index(drop=True)
    parent, missing = place[parent[kept]], missing[kept]
    kind = texts_of(frame, "kind")
    local, orphaned = _local_roots(frame, parent, missing, kind)
    if local.any():
        notes.append(notes_of.LOCAL_ROOTS(spans=int(local.sum())))
    if orphaned.any():
        notes.append(notes_of.ORPHANED(spans=int(orphaned.sum())))
    first = pd.DatetimeIndex(frame["start"]).as_unit("ns").asi8.astype("int64")
    last = first + np.rint(frame["duration_ms"].to_numpy("float64") * _NS).astype("int64")
    levels = _levels(parent, np.flatnonzero((parent < 0) & ~orphaned))
    seen = sum(map(len, levels)) + _below(parent, orphaned)
    if seen < len(frame):
        notes.append(notes_of.CYCLIC(spans=len(frame) - seen))
    root, first, last, more = _on_one_clock(parent, levels, first, last, texts_of(frame, "service"), kind)
    order = np.concatenate(levels) if levels else np.zeros(0, dtype="int64")
    order = order[root[order] >= 0]
    waited = order[parent[order] >= 0]
    # By parent and end, then start, then position, so that equal times have one order.
    kids = waited[np.lexsort([waited, first[waited], last[waited], parent[waited]])]
    starts = np.searchsorted(parent[kids], np.arange(len(frame) + 1))
    made = Trees(frame, parent, first, last, root, order, kids, starts, (*notes, *more))
    if not len(made.roots):
        raise ValueError("spans has no root: every span names a parent that is not in the table")
    return made


def _parents(table: pd.DataFrame) -> tuple[Ints, Flags, Flags]:
    """The position of each span's parent (-1 for none), which spans are copies, and which name a parent that is not there."""
    count = len(table)
    trace = pd.factorize(table["trace"], use_na_sentinel=True)[0].astype("int64")
    trace[trace < 0] = trace.max(initial=0) + 1
    if "run" in table.columns:
        trace = trace * (table["run"].nunique() + 1) + pd.factorize(table["run"])[0] + 1
        trace = pd.factorize(trace)[0]
    ids = pd.concat([table["span"], table["parent"]], ignore_index=True)
    codes = pd.factorize(ids)[0].astype("int64")
    empty = (ids.astype("object") == "").to_numpy()
    codes[empty] = -1
    own, named = codes[:count], codes[count:]
    width = int(codes.max(initial=0)) + 2
    keys = trace * width + np.where(own < 0, width - 1, own)
    kind = texts_of(table, "kind")
    took = table["duration_ms"].to_numpy("float64")
    # Of a client and a server that share an id (Zipkin) the server is whom children and the id stand for.
    order = np.lexsort([np.arange(count), ~np.isin(kind, _SERVES), keys])
    same = np.append(False, keys[order][1:] == keys[order][:-1]) & (own[order] >= 0)
    holder = np.maximum.accumulate(np.where(same, 0, np.arange(count)))
    leader = order[holder]
    again = np.zeros(count, dtype=bool)
    doubled, ahead = order[same], leader[same]
    again[doubled] = (kind[doubled] == kind[ahead]) & (
        (took[doubled] == took[ahead]) | (np.isnan(took[doubled]) & np.isnan(took[ahead]))
    )
    heads = order[~same]
    at = np.searchsorted(keys[heads], trace * width + named)
    at = np.minimum(at, max(len(heads) - 1, 0))
    found = (named >= 0) & (keys[heads][at] == trace * width + named) if count else np.zeros(0, dtype=bool)
    parent = np.where(found, heads[at] if count else -1, -1)
    pairs = doubled[~again[doubled] & (kind[doubled] == "client")]
    served = leader[np.flatnonzero(same)][~again[doubled] & (kind[doubled] == "client")]
    shared = np.isin(kind[served], _SERVES)
    parent[served[shared]] = pairs[shared]
    return parent.astype("int64"), again, (named >= 0) & ~found


def _past(parent: Ints, gone: Flags) -> Ints:
    """Parents with those that are gone left out: the nearest ancestor that is there; -2 where the last one is gone."""
    parent = parent.copy()
    for _ in range(64):
        through = np.flatnonzero((parent >= 0) & gone[np.maximum(parent, 0)])
        if not len(through):
            break
        above = parent[parent[through]]
        parent[through] = np.where(above == -1, -2, above)
    return np.where((parent >= 0) & gone[np.maximum(parent, 0)], -2, parent)


def _local_roots(frame: pd.DataFrame, parent: Ints, missing: Flags, kind: Array) -> tuple[Flags, Flags]:
    """Of the spans whose parent is not there: those that are a root here, and the others.

    A service that is called by one that records nothing starts at a server span; and where a trace has no other root, its
    only top span is one.
    """
    if not missing.any():
        return missing, missing
    serves = np.isin(kind, _SERVES)
    keys = [frame[c] for c in ("run", "trace") if c in frame.columns]
    tops = pd.Series(parent < 0).groupby([pd.Series(k.to_numpy()) for k in keys], dropna=False).transform("sum")
    local = missing & (serves | (tops.to_numpy() == 1))
    return local, missing & ~local


def _levels(parent: Ints, top: Ints) -> list[Ints]:
    """The spans by their depth below these, each level in the order of its parents."""
    below = np.argsort(parent, kind="stable")
    below = below[np.searchsorted(parent[below], 0) :]
    starts = np.searchsorted(parent[below], np.arange(len(parent) + 1))
    levels, now = [], top
    while len(now):
        levels.append(now)
        sizes = starts[now + 1] - starts[now]
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        now = below[np.repeat(starts[now], sizes) + within]
    return levels


def _below(parent: Ints, top: Flags) -> int:
    """How many spans these are, with all below them."""
    return sum(map(len, _levels(parent, np.flatnonzero(top)))) if top.any() else 0


def _on_one_clock(
    parent: Ints, levels: list[Ints], first: Ints, last: Ints, services: Array, kind: Array
) -> tuple[Ints, Ints, Ints, list[Note]]:
    """The root of each span that its parent waited for, windows inside the parents', and what was moved, cut or left out."""
    first, last = first.copy(), last.copy()
    offset = np.zeros(len(parent), dtype="int64")
    root = np.full(len(parent), -1, dtype="int64")
    service = pd.factorize(services)[0]
    moved = cut = outliving = queued = 0
    most = 0
    for depth, rows in enumerate(levels):
        if not depth:
            root[rows] = rows
            continue
        above = parent[rows]
        offset[rows] = offset[above]
        begin, end = first[rows] + offset[above], last[rows] + offset[above]
        other = service[rows] != service[above]
        late, soon, long = end - last[above], first[above] - begin, end - begin
        room = last[above] - first[above]
        # Nothing waits for the consumer of a message.
        queue = (kind[rows] == "consumer") & (kind[above] == "producer")
        rounded = (late <= _ROUNDING_NS) & ((late <= _ROUNDING * long) | (late <= 2_000))
        gone = ~other & (late > 0) & ~rounded
        # A clock that differs: in the middle of the call, since both ways through the network take equally long.
        skewed = other & ((late > 0) | (soon > 0)) & (long <= room) & ~queue
        shift = np.where(skewed, first[above] + (room - long) // 2 - begin, 0)
        offset[rows] += shift
        begin, end = begin + shift, end + shift
        lost = ~skewed & ~queue & other & (end > last[above])
        moved += int(skewed.sum())
        most = max(most, int(np.max(np.maximum(late, soon)[skewed], initial=0)))
        outliving += int((gone & ~queue & (root[above] >= 0)).sum())
        queued += int((queue & (root[above] >= 0)).sum())
        cut += int((lost & (root[above] >= 0)).sum())
        first[rows] = np.clip(begin, first[above], last[above])
        last[rows] = np.clip(end, first[above], last[above])
        root[rows] = np.where(gone | queue, -1, root[above])
    notes = [notes_of.OUTLIVING(spans=outliving)] if outliving else []
    if queued:
        notes.append(notes_of.QUEUED(spans=queued))
    if moved:
        notes.append(notes_of.SKEWED(spans=moved, most_ms=most / _NS))
    if cut:
        notes.append(notes_of.CUT(spans=cut))
    return root, first, last, notes
