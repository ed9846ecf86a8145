"""Which statement caused a loop: the earlier one that could have handed out the values of its calls."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.queries.descents import descends
from perflab.queries.groups import Groups
from perflab.queries.known_columns import handed_out, known_columns
from perflab.queries.links import link
from perflab.queries.nouns import stem

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_LOOK_BACK = 8
_NEAREST, _LINKED, _ROWS_MATCH, _OPAQUE = 1.0, 10.0, 12.0, 4.0
HOLDS = 3
"""The strength of a link from which on the parent's select list holds the child's key, or the child's key names the parent."""


def with_parents(groups: Groups, moving: Mapping[int, tuple[str, ...]], single: Flags, threshold: int) -> pd.DataFrame:
    """A row for each repeated group: group, parent (whose rows the loop is over; -1 for none), holder (the statement that
    returned the key, which may be in the loop itself), linked (how clearly names link them), same (all calls after the parent ask
    for one value).

    The parent ran before the first call. Only where nothing did that could be it, before the second: a request often
    loads one row of the same kind (the user who is logged in) before its loop starts. A descent into a tree is its own parent.
    """
    children = np.flatnonzero(groups.column("repeated"))
    calls = groups.column("calls")
    parent, linked = _nearest(groups, children, groups.column("first")[children], moving, single)
    known = children[_loop_over(groups, children, parent) >= 0]
    orphans = np.flatnonzero((parent < 0) & (calls[children] > threshold))
    later, strength = _nearest(
        groups, children[orphans], groups.column("second")[children[orphans]], moving, single, known
    )
    parent[orphans], linked[orphans] = later, strength
    down = descends(groups, children, moving, single) & _too_few(groups, parent, children, linked)
    parent[down], linked[down] = children[down], HOLDS
    return pd.DataFrame(
        {
            "group": children,
            "parent": _loop_over(groups, children, parent),
            "holder": np.where((linked >= HOLDS) & ~down, parent, -1),
            "linked": np.where(parent >= 0, linked, 0),
            "same": _one_value(groups, children, parent),
        }
    )


def _one_value(groups: Groups, children: Ints, parent: Ints) -> Flags:
    """Which of the groups ask for one value only, but for what came before the parent (the user who is logged in)."""
    distinct, first, starts = groups.column("distinct")[children], groups.column("first"), groups.starts
    found: Flags = distinct == 1
    for at in np.flatnonzero((distinct == 2) & (parent >= 0)).tolist():
        places = groups.order[starts[children[at]] : starts[children[at] + 1]]
        after = groups.question[places[places > first[parent[at]]]]
        found[at] = 0 < len(after) < len(places) and bool((after == after[0]).all())
    return found


def _too_few(groups: Groups, parent: Ints, children: Ints, linked: Ints) -> Flags:
    """Where no parent was found that accounts for all of the calls: none at all, no link, or fewer rows."""
    rows, calls = np.where(parent >= 0, groups.column("rows")[parent], 0.0), groups.column("calls")[children]
    fewer: Flags = (parent < 0) | ((linked <= 1) & (rows != calls)) | (rows * 1.5 < calls)
    return fewer


def _nearest(
    groups: Groups,
    children: Ints,
    before: Ints,
    moving: Mapping[int, tuple[str, ...]],
    single: Flags,
    known: Ints | None = None,
) -> tuple[Ints, Ints]:
    """The likeliest parent among the statements that first ran before these places, and how clearly names link it.

    With ``known`` groups, which have a parent, only those that ran less often, or are in the loop of such a parent themselves.
    """
    unit, fp, calls, first = (groups.column(c) for c in ("unit", "fp", "calls", "first"))
    hands_out = np.array([s.hands_out for s in groups.shapes], dtype=bool)
    opaque = np.array([s.opaque for s in groups.shapes], dtype=bool)
    chosen = np.flatnonzero(hands_out[fp]) if len(fp) else np.zeros(0, dtype="int64")
    order = chosen[np.argsort(first[chosen], kind="stable")]
    parent = np.full(len(children), -1, dtype="int64")
    linked = np.zeros(len(children), dtype="int64")
    best = np.full(len(children), -np.inf)
    place = np.searchsorted(first[order], before)
    for back in range(1, _LOOK_BACK + 1):
        at = place - back
        if not (at >= 0).any():
            break
        candidate = order[np.clip(at, 0, None)]
        here = (at >= 0) & (unit[candidate] == unit[children]) & (candidate != children)
        here &= fp[candidate] != fp[children]
        if known is not None:
            here &= (calls[candidate] * 2 < calls[children]) | np.isin(candidate, known)
        strength = _links(groups, candidate, children, here, moving)
        match = rows_match(groups, candidate, children)
        score = np.where(
            here & _could_hand_out(groups, candidate, children, strength, match, single),
            _LINKED * strength - _NEAREST * back + _ROWS_MATCH * match - _OPAQUE * opaque[fp[candidate]],
            -np.inf,
        )
        better = score > best
        parent, best = np.where(better, candidate, parent), np.where(better, score, best)
        linked = np.where(better, strength, linked)
    return parent, linked


def _links(groups: Groups, parents: Ints, children: Ints, here: Flags, moving: Mapping[int, tuple[str, ...]]) -> Ints:
    """How clearly the names link each child to its candidate, worked out once for each pair of fingerprints."""
    fp, prints = groups.column("fp"), groups.prepared.fingerprints
    pairs = np.where(here, fp[parents] * len(prints) + fp[children], -1)
    different, where = np.unique(pairs, return_inverse=True)
    tables = frozenset(stem(table) for shape in groups.shapes for table in shape.tables)
    known = known_columns(prints)
    strengths = [
        link(above, below, moving[p % len(prints)], tables, handed_out(above, known)) if p >= 0 else 0
        for p in different.tolist()
        for above, below in [(prints[p // len(prints)], prints[p % len(prints)])]
    ]
    return np.array(strengths, dtype="int64")[where]


def _could_hand_out(
    groups: Groups, parents: Ints, children: Ints, strength: Ints, match: Flags, single: Flags
) -> Flags:
    """Whether the candidate returned enough rows to cause these calls, as far as is known."""
    fp, calls, rows = groups.column("fp"), groups.column("calls"), groups.column("rows")[parents]
    plausible = np.where(
        np.isnan(rows), ~single[fp[parents]] | (calls[parents] > 1), (rows >= 2) & (rows * 3 >= calls[children])
    )
    whole = calls_after(groups, parents, children) % np.where(rows >= 2, rows, np.inf) == 0  # four voices of each choir
    plausible |= (strength >= HOLDS) & whole & (rows * 8 >= calls[children])
    writes = np.array([s.kind == "write" for s in groups.shapes], dtype=bool)[fp[children]]
    possible: Flags = plausible & ((strength >= 0) | writes | match)
    return possible


def rows_match(groups: Groups, parents: Ints, children: Ints) -> Flags:
    """Where there were as many calls as rows, and not by chance: in most units of the route in which both ran."""
    rows, fp, unit = groups.column("rows")[parents], groups.column("fp"), groups.column("unit")
    matched: Flags = rows == calls_after(groups, parents, children)
    if not matched.any():
        return matched
    routes = pd.factorize(groups.column("route")[children])[0]
    pairs = (routes * len(groups.shapes) + fp[parents]) * len(groups.shapes) + fp[children]
    together = ~np.isnan(rows) & (unit[parents] == unit[children])
    _, pair = np.unique(pairs, return_inverse=True)
    often = np.bincount(pair, matched & together) * 2 >= np.bincount(pair, together)
    return matched & often[pair]


def calls_after(groups: Groups, parents: Ints, children: Ints) -> Ints:
    """The calls that came after the parent: a request often loads one row of the same kind (who is logged in) before it."""
    first = groups.column("first")
    before = (parents >= 0) & (first[children] < first[parents])
    after: Ints = groups.column("calls")[children] - before
    return after


def _loop_over(groups: Groups, children: Ints, parent: Ints) -> Ints:
    """A statement that ran as often as the child is in the same loop, so its own parent is the child's too.

    Without one (a queue worker that takes the next job again and again) the loop has no parent.
    """
    calls, rows = groups.column("calls"), groups.column("rows")
    mine = np.full(len(calls), -1, dtype="int64")
    mine[children] = parent
    beside = (parent >= 0) & (calls[parent] >= calls[children])
    beside &= ~(rows[parent] > 1.5 * calls[parent])
    return np.where(beside, mine[parent], parent)
