"""The layout of flame graphs, for figures and pages: a box for each path, as wide as its total."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.profiles.call_trees import FRAME, Floats, Ints, Tree, from_parents, shape
from perflab.profiles.diff import run_weights
from perflab.profiles.origins import APPLICATION, DRIVER, origins
from perflab.profiles.selected import Profile, frame_codes, merged, shares_of, tree_rows
from perflab.profiles.waiting import KINDS, time_kinds

COLOURS = {
    "own code": "#F2A07B", "database": "#7FCBB0", "network": "#DDB3CE", "waiting": "#B8B0DC", "framework": "#9CCBEA",
    "library": "#F3CE85", "standard library": "#D9D9D9", "native": "#EDEDED",
}  # fmt: skip
"""Tints of Okabe and Ito's colours, light enough for black text, by category of code."""
_BY_ORIGIN = {APPLICATION: "own code", DRIVER: "database"}
_BY_TIME = (*KINDS[:3], "", "waiting")
_WHOLE_WIDTH = 0.995


@dataclass(frozen=True)
class Boxes:
    """Boxes as a table: left, width (fractions of the whole), level, function, file, line, self, total, kind.

    ``kind`` is one of `COLOURS`, ``shares`` the self time of each. ``outer`` is the number of outermost levels left out,
    ``narrow`` that of boxes too narrow to show.
    """

    table: pd.DataFrame
    unit: str
    whole: float
    runs: int
    outer: int
    narrow: int
    shares: dict[str, float]


def boxes(
    profile: Profile,
    *,
    unit: str | None = None,
    narrowest: float = 0.0005,
    trim: bool = True,
    application: Sequence[str] = (),
) -> Boxes:
    """The boxes of a profile, with runs and threads merged and siblings ordered by weight.

    ``trim`` leaves out the outermost levels with a single box as wide as the whole (to 0.5 %), except the last.
    """
    rows = shares_of(tree_rows(profile, unit), "a flame graph")
    tree = merged(rows)
    runs = int(rows.table["run"].nunique()) if "run" in rows.table.columns else 1
    table, outer, narrow, shares = _laid_out(tree, rows.frames, narrowest, trim, application)
    return Boxes(table, rows.unit, float(tree.self_weight.sum()), runs, outer, narrow, shares)


def difference_boxes(
    before: Profile,
    after: Profile,
    *,
    unit: str | None = None,
    narrowest: float = 0.0005,
    trim: bool = True,
    application: Sequence[str] = (),
) -> Boxes:
    """Boxes as wide as the mean of both sides, with each side's total as ``before`` and ``after``.

    Both are normalised as in `diff_profiles`.
    """
    sides = [tree_rows(side, unit) for side in (before, after)]
    weights, unit_name, runs = run_weights(before, after, sides)
    both = pd.concat([side.table for side in sides], ignore_index=True)
    code, frames = frame_codes(both, FRAME[:2])
    frames = frames.assign(line=pd.array([pd.NA] * len(frames), dtype="Int64"))
    cut = len(sides[0].table)
    parent = np.concatenate([sides[0].parent, np.where(sides[1].parent < 0, -1, sides[1].parent + cut)])
    own = np.concatenate(weights)
    old = np.where(np.arange(len(own)) < cut, own, 0.0)
    tree = from_parents(parent, code, own / 2, calls=old, frames=len(frames))[0]
    assert tree.calls is not None
    end = shape(tree.depth).end
    summed = np.concatenate([[0.0], np.cumsum(tree.calls)])
    of_before = np.maximum(summed[end] - summed[:-1], 0.0)
    of_after = np.maximum(2 * tree.total - of_before, 0.0)
    table, outer, narrow, shares = _laid_out(
        tree, frames, narrowest, trim, application, {"before": of_before, "after": of_after}
    )
    return Boxes(table, unit_name, float(tree.self_weight.sum()), runs, outer, narrow, shares)


def _laid_out(
    tree: Tree,
    frames: pd.DataFrame,
    narrowest: float,
    trim: bool,
    application: Sequence[str],
    more: dict[str, Floats] | None = None,
) -> tuple[pd.DataFrame, int, int, dict[str, float]]:
    whole = float(tree.self_weight.sum()) or 1.0
    left, width = _left(tree) / whole, tree.total / whole
    shown = width >= narrowest
    outer = _outer(tree, width) if trim else 0
    chosen = np.flatnonzero(shown & (tree.depth >= outer))
    codes = tree.frame[chosen]
    whose = [_BY_ORIGIN.get(kind, kind) for kind, _, _ in origins(frames["file"].to_list(), application)]
    of_time = time_kinds(frames, tree.frame, tree.parent, tree.depth)[0]
    kinds = np.array(whose, dtype=object)[tree.frame]
    for number, name in enumerate(_BY_TIME):
        if name:
            kinds[of_time == number] = name
    shares = pd.Series(tree.self_weight).groupby(kinds).sum() / whole
    table = pd.DataFrame(
        {
            "left": left[chosen], "width": width[chosen], "level": tree.depth[chosen] - outer,
            **{name: frames[name].take(codes).array for name in FRAME},
            "self": tree.self_weight[chosen], "total": tree.total[chosen], "kind": kinds[chosen],
            **{name: values[chosen] for name, values in (more or {}).items()},
        }
    )  # fmt: skip
    return table, outer, int((~shown).sum()), {str(k): float(v) for k, v in shares.items()}


def _left(tree: Tree) -> Floats:
    """The left edge of each node: its parent's, plus the totals of its heavier siblings."""
    left = np.zeros(len(tree))
    order = np.lexsort((-tree.total, tree.parent, tree.depth))
    bounds = np.searchsorted(tree.depth[order], np.arange(int(tree.depth.max(initial=-1)) + 2))
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        rows: Ints = order[low:high]
        parent = tree.parent[rows]
        before = np.cumsum(tree.total[rows]) - tree.total[rows]
        new = np.append(True, parent[1:] != parent[:-1])
        first = np.maximum.accumulate(np.where(new, np.arange(len(rows)), 0))
        left[rows] = before - before[first] + np.where(parent < 0, 0.0, left[parent])
    return left


def _outer(tree: Tree, width: Floats) -> int:
    """The number of levels to leave out: all but the last of the outermost ones with a single box of full width."""
    wide = np.bincount(tree.depth[width >= _WHOLE_WIDTH], minlength=1)
    levels = int(np.argmax(wide != 1)) if (wide != 1).any() else len(wide)
    return max(0, levels - 1)
