"""Call trees as arrays: merged from stacks or from nodes with parents, in pre-order, with totals.

Everything works level by level on whole arrays: nothing recurses, so the depth is not limited. In pre-order a node's
subtree is the rows from its own up to (not including) its ``end``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MAX_DEPTH = 100_000
"""Deeper than any real stack; deeper nodes are left out, so that a malicious file cannot take hours."""
FRAME = ("function", "file", "line")


@dataclass
class Frames:
    """Distinct frames by number: function, file and line (None where unknown)."""

    numbers: dict[tuple[str, str | None, int | None], int] = field(default_factory=dict)

    def number(self, function: str, file: str | None = None, line: int | None = None) -> int:
        """The number of this frame, assigned on first use."""
        return self.numbers.setdefault((function, file, line), len(self.numbers))

    def columns(self, codes: Ints) -> dict[str, object]:
        """The function, file and line of each code."""
        functions, files, lines = zip(*self.numbers, strict=True) if self.numbers else ((), (), ())
        known = pd.array([line if line is not None else pd.NA for line in lines], dtype="Int64")
        return {
            "function": pd.array(list(functions), dtype="str").take(codes),
            "file": pd.array(list(files), dtype="str").take(codes),
            "line": known.take(codes),
        }


@dataclass(frozen=True)
class Tree:
    """Nodes in pre-order: ``parent`` is the index of the parent (-1 for a root), ``frame`` a code."""

    parent: Ints
    depth: Ints
    frame: Ints
    self_weight: Floats
    total: Floats
    calls: Floats | None = None

    def __len__(self) -> int:
        return len(self.parent)


def from_stacks(
    codes: Ints, lengths: Ints, weights: Floats, calls: Floats | None = None, *, frames: int | None = None
) -> Tree:
    """Merge stacks, root first, into a tree: ``codes`` holds them one after another, ``lengths`` their lengths.

    A stack of length 0 is idle time and belongs to no node.

    >>> tree = from_stacks(np.array([0, 1, 0, 2]), np.array([2, 2]), np.array([3.0, 1.0]))
    >>> tree.frame.tolist(), tree.total.tolist(), tree.depth.tolist()
    ([0, 1, 2], [4.0, 3.0, 1.0], [0, 1, 1])
    """
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype("int64") if len(lengths) else lengths
    order = np.argsort(-lengths, kind="stable")
    starts, sizes = starts[order], lengths[order]
    width = frames if frames is not None else int(codes.max(initial=0)) + 1
    node = np.full(len(order), -1, dtype="int64")
    parents, found, count, depth = [], [], 0, 0
    active = int(np.searchsorted(-sizes, 0, side="left"))
    while active:
        keys = (node[:active] + 1) * width + codes[starts[:active] + depth]
        distinct, inverse = np.unique(keys, return_inverse=True)
        parents.append(distinct // width - 1)
        found.append(distinct % width)
        node[:active] = inverse + count
        count += len(distinct)
        depth += 1
        active = int(np.searchsorted(-sizes, -depth, side="left"))
    own = node >= 0
    counted = None if calls is None else _added(node[own], calls[order][own], count)
    return _in_preorder(parents, found, _added(node[own], weights[order][own], count), counted)


def from_parents(
    parent: Ints, frame: Ints, weights: Floats, calls: Floats | None = None, *, frames: int | None = None
) -> tuple[Tree, int]:
    """Make a tree of nodes in any order, each with the index of its parent (-1 for none); and count those left out.

    Siblings with the same frame are merged. Nodes that no root reaches (their parents form a cycle), and those deeper than
    `MAX_DEPTH`, are left out.

    >>> tree, lost = from_parents(np.array([-1, 0, 0, 4, 3]), np.array([0, 1, 1, 0, 0]), np.ones(5))
    >>> tree.total.tolist(), lost
    ([3.0, 2.0], 2)
    """
    width = frames if frames is not None else int(frame.max(initial=0)) + 1
    by_parent = np.argsort(parent, kind="stable")
    starts = np.searchsorted(parent[by_parent], np.arange(len(parent) + 1))
    merged = np.full(len(parent), -1, dtype="int64")
    parents: list[Ints] = []
    found: list[Ints] = []
    count = 0
    current = np.flatnonzero(parent < 0)
    while len(current) and len(parents) < MAX_DEPTH:
        above = np.where(parent[current] < 0, -1, merged[parent[current]])
        distinct, inverse = np.unique((above + 1) * width + frame[current], return_inverse=True)
        parents.append(distinct // width - 1)
        found.append(distinct % width)
        merged[current] = inverse + count
        count += len(distinct)
        current = by_parent[_ranges(starts[current], starts[current + 1] - starts[current])]
    reached = merged >= 0
    counted = None if calls is None else _added(merged[reached], calls[reached], count)
    tree = _in_preorder(parents, found, _added(merged[reached], weights[reached], count), counted)
    return tree, int((~reached).sum())


def _added(node: Ints, values: Floats, count: int) -> Floats:
    return np.bincount(node, weights=values, minlength=count).astype("float64")


def _ranges(starts: Ints, lengths: Ints) -> Ints:
    """The indices of all ranges, one after another."""
    total = int(lengths.sum())
    if not total:
        return np.empty(0, dtype="int64")
    before = np.cumsum(lengths) - lengths
    return np.arange(total) - np.repeat(before - starts, lengths)


def _in_preorder(parents: list[Ints], frames: list[Ints], weight: Floats, calls: Floats | None) -> Tree:
    """A tree in pre-order with totals, from nodes given level by level with siblings together."""
    if not parents:
        nothing = np.empty(0, dtype="int64")
        return Tree(nothing, nothing, nothing, np.empty(0), np.empty(0), calls)
    sizes_by_level = [len(level) for level in parents]
    ends = np.cumsum(sizes_by_level)
    levels = [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes_by_level, strict=True)]
    parent, frame = np.concatenate(parents), np.concatenate(frames)
    depth = np.repeat(np.arange(len(levels)), sizes_by_level)
    size, total = np.ones(len(parent), dtype="int64"), weight.copy()
    for level in reversed(levels[1:]):
        np.add.at(size, parent[level], size[level])
        np.add.at(total, parent[level], total[level])
    position = _positions(parent, size, levels)
    order = np.empty(len(parent), dtype="int64")
    order[position] = np.arange(len(parent))
    placed = np.where(parent[order] < 0, -1, position[parent[order]])
    return Tree(
        placed, depth[order], frame[order], weight[order], total[order], None if calls is None else calls[order]
    )


def _positions(parent: Ints, size: Ints, levels: Sequence[slice]) -> Ints:
    """The index of each node in pre-order: after its parent and the subtrees of its earlier siblings."""
    before = np.cumsum(size) - size
    new = np.ones(len(parent), dtype=bool)
    new[1:] = parent[1:] != parent[:-1]
    new[[level.start for level in levels]] = True
    first = np.maximum.accumulate(np.where(new, np.arange(len(parent)), 0))
    position = before - before[first]
    for level in levels[1:]:
        position[level] += position[parent[level]] + 1
    return position


def frame_table(trees: Sequence[tuple[str | None, str, Tree]], frames: Frames) -> pd.DataFrame:
    """The ``profile`` table (without ``run``) of several trees: (thread, unit, tree) each."""
    offsets = np.cumsum([0, *(len(tree) for _, _, tree in trees)])
    parts = [tree for _, _, tree in trees]
    counts = [len(tree) for tree in parts]
    parent = np.concatenate([np.where(t.parent < 0, -1, t.parent + o) for t, o in zip(parts, offsets, strict=False)])
    codes = np.concatenate([t.frame for t in parts])
    whose = np.repeat(np.arange(len(trees)), counts)
    columns: dict[str, object] = {
        "thread": pd.array([thread for thread, _, _ in trees], dtype="str").take(whose),
        "node": np.arange(len(parent)),
        "parent": pd.arrays.IntegerArray(np.maximum(parent, 0), parent < 0),
        "depth": np.concatenate([t.depth for t in parts]),
        **frames.columns(codes),
        "self": np.concatenate([t.self_weight for t in parts]),
        "total": np.concatenate([t.total for t in parts]),
        "unit": pd.array([unit for _, unit, _ in trees], dtype="str").take(whose),
    }
    if all(t.calls is not None for t in parts):
        columns["calls"] = np.concatenate([t.calls for t in parts if t.calls is not None]).astype("int64")
    return pd.DataFrame(columns, copy=False)


@dataclass(frozen=True)
class Shape:
    """The parent (-1 for a root) and the end of the subtree of each row in pre-order."""

    parent: Ints
    end: Ints


def shape(depth: Ints) -> Shape:
    """Parents and ends of rows in pre-order, from their depths; ValueError if they are not in pre-order.

    >>> found = shape(np.array([0, 1, 2, 1, 0]))
    >>> found.parent.tolist(), found.end.tolist()
    ([-1, 0, 1, 0, -1], [4, 3, 3, 4, 5])
    """
    count = len(depth)
    if count and (depth[0] != 0 or (np.diff(depth) > 1).any() or depth.min() < 0):
        raise ValueError("a profile must be in pre-order: each row's depth at most one more than the row's before it")
    order = np.argsort(depth, kind="stable")
    bounds = np.searchsorted(depth[order], np.arange(int(depth.max(initial=-1)) + 2))
    parent, end = np.full(count, -1, dtype="int64"), np.full(count, count, dtype="int64")
    above = np.empty(0, dtype="int64")
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        rows = order[low:high]
        following = np.append(rows[1:], count)
        if low:
            parent[rows] = above[np.searchsorted(above, rows) - 1]
            following = np.minimum(following, end[parent[rows]])
        end[rows] = following
        above = rows
    return Shape(parent, end)


def outermost(code: Ints, end: Ints) -> Flags:
    """Rows in pre-order without an ancestor of the same code: a function counts once per stack.

    >>> outermost(np.array([7, 3, 7, 3]), np.array([4, 4, 4, 4])).tolist()
    [True, True, False, False]
    """
    count = len(code)
    rows = np.arange(count)
    order = np.argsort(code, kind="stable")
    ranks = np.cumsum(np.append(0, np.diff(code[order]) != 0)) if count else np.empty(0, dtype="int64")
    reach = np.maximum.accumulate(ranks * (count + 1) + end[order]) if count else ranks
    free = np.ones(count, dtype=bool)
    free[order[1:]] = (ranks * (count + 1) + rows[order])[1:] >= reach[:-1]
    return free
