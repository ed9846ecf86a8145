"""Call paths in a profile: `hot_paths`, `callers_of` and `focus`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perflab.profiles.call_trees import FRAME, Floats, Tree, outermost, shape
from perflab.profiles.origins import APPLICATION, origins
from perflab.profiles.selected import (
    Profile,
    as_table,
    is_graph,
    matching,
    merged,
    shares_of,
    subtree,
    sums,
    table_of,
    tree_rows,
)
from perflab.results import Findings, count, findings
from perflab.units import format_fraction, parse_fraction

_SHOWN = 7


def hot_paths(
    profile: Profile,
    *,
    least: str | float = "5%",
    limit: int = 10,
    unit: str | None = None,
    application: Sequence[str] = (),
) -> Findings:
    """Find the few call paths with most of the time; runs and threads are merged.

    A path is hot if its last function, with its callees, takes at least ``least`` of the whole. Its weight excludes hot
    paths that continue it, so that rows do not overlap and add up.

    Parameters
    ----------
    profile : Measurements or DataFrame
        A profile with stacks.
    least : share
        The smallest share of the whole that makes a path hot.
    limit : int
        The maximum number of rows.
    unit : str, optional
        The unit, if there are several; by default the first.
    application : sequence of str
        As in `by_package`; stretches of other code are abbreviated in ``path``.

    Returns
    -------
    Findings
        share_fraction, weight, unit, depth, function, file, line (of the last function) and path, heaviest first.

    Raises
    ------
    MissingTableError
        There is no profile with stacks.
    ValueError
        The unit is unknown, or ``least`` or ``limit`` is invalid.

    >>> import perflab as lab
    >>> lab.hot_paths(lab.read("tests/samples/collapsed/traps_crlf.txt")).path.to_list()
    ['main › read ×3', 'main › parse json', 'main']
    """
    share = parse_fraction(least, parameter="least")
    if limit < 1:
        raise ValueError(f"limit must be 1 or more; got {limit!r}")
    rows = shares_of(tree_rows(profile, unit), "hot_paths")
    tree = merged(rows)
    whole = float(tree.self_weight.sum())
    hot = tree.total >= max(share * whole, np.finfo("float64").tiny)
    inner = hot & (tree.parent >= 0)
    carried = np.where(hot, tree.total, 0.0) - sums(tree.parent[inner], tree.total[inner], len(tree))
    chosen = np.flatnonzero(hot & (carried >= share * whole))
    chosen = chosen[np.argsort(-carried[chosen], kind="stable")][:limit]
    kinds = [kind for kind, _, _ in origins(rows.frames["file"].to_list(), application)]
    packages = [package for _, package, _ in origins(rows.frames["file"].to_list(), application)]
    names = rows.frames["function"].to_list()
    found = pd.DataFrame(
        {
            "share_fraction": carried[chosen] / (whole or np.nan), "weight": carried[chosen], "unit": rows.unit,
            "depth": tree.depth[chosen],
            **{name: rows.frames[name].take(tree.frame[chosen]).array for name in FRAME},
            "path": pd.array([_written(tree, int(node), names, kinds, packages) for node in chosen], dtype="str"),
        }
    )  # fmt: skip
    return findings(
        found, f"{count(len(found), 'path')} with {format_fraction(found['share_fraction'].sum())} of the whole"
    )


def _written(tree: Tree, node: int, names: list[str], kinds: list[str], packages: list[str]) -> str:
    """The path as text: the application's functions and the last one; of the rest the number, and the packages."""
    frames: list[int] = []
    while node >= 0:
        frames.append(int(tree.frame[node]))
        node = int(tree.parent[node])
    frames.reverse()
    own = (
        [i for i, f in enumerate(frames) if kinds[f] == APPLICATION]
        if len(frames) > _SHOWN
        else list(range(len(frames)))
    )
    kept = {*own[-(_SHOWN - 1) :], len(frames) - 1} if len(frames) > _SHOWN else set(own)
    parts: list[tuple[str, int]] = []
    skipped: list[int] = []
    for place, frame in enumerate(frames):
        if place not in kept:
            skipped.append(frame)
            continue
        if skipped:
            parts.append((_skipped(skipped, packages), 1))
            skipped = []
        if parts and parts[-1][0] == names[frame]:
            parts[-1] = (names[frame], parts[-1][1] + 1)
        else:
            parts.append((names[frame], 1))
    return " › ".join(name if count == 1 else f"{name} ×{count}" for name, count in parts)


def _skipped(frames: list[int], packages: list[str]) -> str:
    whose = pd.Series([packages[f] for f in frames]).value_counts().index[:2]
    return f"… {len(frames)} of {', '.join(whose)} …"


def focus(profile: Profile, function: str, *, file: str | None = None, unit: str | None = None) -> pd.DataFrame:
    """Extract what runs below a function, from all its callers, with the function as the root.

    Parameters
    ----------
    profile : Measurements or DataFrame
        A profile with stacks; runs and threads are merged.
    function : str
        The name of the function. ValueError, with the nearest names, if the profile has no such function.
    file : str, optional
        The end of the file's path, if several functions have the name.
    unit : str, optional
        The unit, if there are several; by default the first.

    Returns
    -------
    DataFrame
        A profile table, which every function here accepts.

    >>> import perflab as lab
    >>> lab.profiles.focus(lab.read("tests/samples/collapsed/traps_crlf.txt"), "read").total.to_list()
    [5.0, 5.0, 5.0]
    """
    rows = tree_rows(profile, unit)
    tree = merged(rows)
    end = shape(tree.depth).end
    wanted = np.isin(tree.frame, matching(rows.frames, function, file))
    below = subtree(tree, wanted & outermost(wanted.astype("int64"), end), end)
    return as_table(below, rows.frames, rows.unit, f"focus on {function}")


def callers_of(profile: Profile, function: str, *, file: str | None = None, unit: str | None = None) -> Findings:
    """List the callers of a function with their share of its total; recursive calls are left out.

    Parameters
    ----------
    profile : Measurements or DataFrame
        A profile (a tree or a call graph); runs and threads are merged.
    function, file, unit :
        As in `focus`.

    Returns
    -------
    Findings
        caller, file, line, total, share_fraction, calls, unit, heaviest first. The caller of a root is "(root)".

    Raises
    ------
    MissingTableError
        There is no profile.
    ValueError
        The function or unit is unknown.

    >>> import perflab as lab
    >>> lab.profiles.callers_of(lab.read("tests/samples/pstats/workload.pstats"), "spin_half").caller.to_list()
    ['half']
    """
    table = table_of(profile)
    if is_graph(table):
        return _callers_in_graph(table, function, file)
    rows = tree_rows(table, unit)
    tree = merged(rows)
    wanted = np.isin(tree.frame, matching(rows.frames, function, file))
    found = np.flatnonzero(wanted & outermost(wanted.astype("int64"), shape(tree.depth).end))
    above = np.where(tree.parent[found] < 0, len(rows.frames), tree.frame[tree.parent[found]])
    total = sums(above, tree.total[found], len(rows.frames) + 1)
    callers = np.unique(above)
    root_frame = pd.DataFrame({"function": ["(root)"], "file": [None], "line": [pd.NA]})
    frames = pd.concat([rows.frames.astype({"line": "Int64"}), root_frame.astype({"line": "Int64"})], ignore_index=True)
    return _callers(frames.take(callers), total[callers], pd.array([pd.NA] * len(callers), dtype="Int64"), rows.unit)


def _callers_in_graph(table: pd.DataFrame, function: str, file: str | None) -> Findings:
    known = pd.DataFrame({"function": table["callee"], "file": table.get("callee_file", pd.Series(None, table.index))})
    matching(known, function, file)
    chosen = (table["callee"] == function) & table["caller"].notna() & (table["caller"] != function)
    if file is not None:
        chosen &= known["file"].fillna("").str.endswith(file)
    edges = table[chosen.to_numpy(dtype=bool)]
    in_ms = "unit" not in edges.columns
    lines = (
        edges["caller_line"].array if "caller_line" in edges.columns else pd.array([pd.NA] * len(edges), dtype="Int64")
    )
    frames = pd.DataFrame({"function": edges["caller"].array, "file": edges["caller_file"].array, "line": lines})
    total = (edges["total_ms"] if in_ms else edges["total"]).to_numpy(dtype="float64")
    unit = "ms" if in_ms or not len(edges) else str(edges["unit"].iloc[0])
    frames = frames.assign(total=total, calls=edges["calls"].astype("Int64").array)
    added = frames.groupby(list(FRAME), dropna=False, sort=False)[["total", "calls"]].sum(min_count=1).reset_index()
    return _callers(added[list(FRAME)], added["total"].to_numpy(dtype="float64"), added["calls"].array, unit)


def _callers(frames: pd.DataFrame, total: Floats, calls: object, unit: str) -> Findings:
    frame = frames.rename(columns={"function": "caller"}).reset_index(drop=True)
    whole = total.sum() or np.nan
    frame = frame.assign(total=total, share_fraction=total / whole, calls=calls, unit=unit)
    frame = frame.sort_values("total", ascending=False, kind="stable")
    first = (
        "no caller"
        if frame.empty
        else f"{frame['caller'].iloc[0]} has {format_fraction(frame['share_fraction'].iloc[0])}"
    )
    return findings(frame, f"{count(len(frame), 'caller')}; {first}" if len(frame) else first)
