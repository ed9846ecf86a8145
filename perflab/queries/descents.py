"""A tree read node by node: each call returns the rows whose own keys the next calls ask for.

No list comes before it, or only that of the roots, and all calls have one fingerprint, so it has no other parent than itself.
Where rows are recorded, the structure proves it: every row that a call returned is asked for its children in turn, down to
the leaves, which return none. Where they are not, the key must be named after what it is (``parent_id``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from perflab.queries.groups import Groups
from perflab.queries.nouns import ABOVE, own_key, points_elsewhere, stem
from perflab.queries.shape import Shape

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_KIND = re.compile(r"_(?:type|kind|table|model|class)$")
_UPWARD = re.compile(r"(?:answers?|responds?)_to(?:_|$)|(?:^|_)(?:part|child|sub\w*)_of(?:_|$)|^above(?:_|$)")
_FOLLOWED, _SKIPPED, _MOST = 0.7, 0.1, 0.8
"""Of the rows that were returned so many are asked for their children, and calls may exceed them by so many, in most units."""

_ROOTS, _ENOUGH = 3, 20
"""A key that is not named so needs as many calls as rows but for so many roots, in all units, and so many calls in all."""


def descends(groups: Groups, children: Ints, moving: Mapping[int, tuple[str, ...]], single: Flags) -> Flags:
    """Which of these repeated groups read a tree node by node."""
    fp, calls, rows = (groups.column(c)[children] for c in ("fp", "calls", "rows"))
    found = np.zeros(len(children), dtype=bool)
    for code in np.unique(fp).tolist():
        shape = groups.shapes[code]
        if single[code] or not _refers_to_itself(shape, moving[code]):
            continue
        mine = np.flatnonzero(fp == code)
        known = mine[np.isfinite(rows[mine])]
        named = _named_so(moving[code])
        down = [_down_to_leaves(groups, int(group), named) for group in children[known]]
        if len(known):
            found[mine] = np.mean(down) >= (_MOST if named else 1) and (named or calls[known].sum() >= _ENOUGH)
        else:
            found[mine] = named
    return found


def _refers_to_itself(shape: Shape, keys: tuple[str, ...]) -> bool:
    """Whether a key of the table may hold another of its rows' own key, which the statement returns."""
    if len(shape.tables) != 1 or not shape.hands_out or any(_KIND.search(key) for key in shape.keys):
        return False
    own = any(c == "*" or own_key(c, shape.tables[0]) for c in shape.columns)
    return own and (_named_so(keys) or any(points_elsewhere(key) for key in keys))


def _named_so(keys: tuple[str, ...]) -> bool:
    """Whether a key is named after the row above."""
    return any(ABOVE & set(stem(key).split("_")) or key.startswith("parent") or _UPWARD.search(key) for key in keys)


def _down_to_leaves(groups: Groups, group: int, named: bool) -> bool:
    """Whether the calls are as many as the rows that they returned, and the roots; some have several children, some none."""
    start, calls = int(groups.starts[group]), int(groups.column("calls")[group])
    rows = groups.prepared.frame["rows"].to_numpy()[groups.order[start : start + calls]]
    if np.isnan(rows).any() or not (rows == 0).any() or not (rows >= 2).any():
        return False
    returned = float(rows.sum())
    if not named:
        return 1 <= calls - returned <= _ROOTS
    return bool(_FOLLOWED * returned <= calls - 1 <= returned + max(2.0, _SKIPPED * calls))
