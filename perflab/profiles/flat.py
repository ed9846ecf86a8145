"""`flat_profile`: self and total of every function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perflab.profiles.call_trees import FRAME, outermost
from perflab.profiles.selected import Profile, frame_codes, group_columns, is_graph, sums, table_of, tree_rows
from perflab.results import Findings, count, findings
from perflab.units import format_fraction

_COLUMNS = [*FRAME, "self", "total", "calls", "unit", "self_fraction", "total_fraction"]


def flat_profile(profile: Profile, *, unit: str | None = None, per: Sequence[str] | None = None) -> Findings:
    """List self and total of every function, most self first.

    Parameters
    ----------
    profile : Measurements or DataFrame
        A profile (a tree or a call graph).
    unit : str, optional
        The unit, if there are several ("ms", "bytes", "samples of cache-misses"); by default the first.
    per : sequence of "run", "thread" and "endpoint", optional
        The columns to keep apart; ``()`` merges all. By default those with several values.

    Returns
    -------
    Findings
        function, file, line, self, total, calls, unit, self_fraction, total_fraction; preceded by run, thread or endpoint if
        kept apart. ``self`` excludes callees, ``total`` includes them; a recursive function counts once per stack. Fractions
        are of the group's sum of self. ``calls`` is missing for sampling profilers.

    Raises
    ------
    MissingTableError
        There is no profile.
    ValueError
        The unit, or a column in ``per``, is unknown.

    >>> import perflab as lab
    >>> profile = lab.read("tests/samples/collapsed/traps_crlf.txt")
    >>> lab.flat_profile(profile)[["function", "self", "total"]].values.tolist()
    [['read', 5.0, 5.0], ['parse json', 2.0, 2.0], ['main', 1.5, 8.5]]
    """
    table = table_of(profile)
    if is_graph(table):
        return _of_graph(table, per)
    rows = tree_rows(table, unit)
    groups = group_columns(rows.table, per)
    group, named = frame_codes(rows.table, groups)
    frames = len(rows.frames)
    key = group * frames + rows.code
    outer = outermost(rows.code, rows.end)
    distinct, place = np.unique(key, return_inverse=True)
    own = sums(place, rows.table["self"].to_numpy(dtype="float64"), len(distinct))
    total = sums(place[outer], rows.table["total"].to_numpy(dtype="float64")[outer], len(distinct))
    calls = pd.array([pd.NA] * len(distinct), dtype="Int64")
    if "calls" in rows.table.columns and rows.table["calls"].notna().any():
        calls = pd.array(
            sums(place, rows.table["calls"].fillna(0).to_numpy(dtype="float64"), len(distinct)), dtype="Int64"
        )
    frame = rows.frames.take(distinct % frames).reset_index(drop=True)
    frame = frame.assign(total=total, calls=calls, unit=rows.unit)
    frame["self"] = own
    return _finished(frame, named, distinct // frames, groups)


def _of_graph(table: pd.DataFrame, per: Sequence[str] | None) -> Findings:
    whole = table[table["caller"].isna().to_numpy()]
    groups = group_columns(whole, per)
    group, named = frame_codes(whole, groups)
    in_ms = "unit" not in whole.columns
    frame = pd.DataFrame(
        {
            "function": whole["callee"], "file": whole.get("callee_file"), "line": whole.get("callee_line"),
            "self": whole["self_ms"] if in_ms else whole["self"], "total": whole["total_ms"] if in_ms else whole["total"],
            "calls": whole["calls"], "unit": "ms" if in_ms else whole["unit"],
        }
    )  # fmt: skip
    if len(named) > 1 or not groups:
        # The same function in several files or runs merged here is one function.
        keys = [pd.Series(group, index=frame.index, name="group"), *(frame[name] for name in (*FRAME, "unit"))]
        added = frame.groupby(keys, dropna=False, sort=False)[["self", "total", "calls"]].sum(min_count=1).reset_index()
        group, frame = added["group"].to_numpy(), added
    frame["calls"] = frame["calls"].astype("Int64")
    return _finished(frame.reset_index(drop=True), named, group, groups)


def _finished(frame: pd.DataFrame, named: pd.DataFrame, group: np.ndarray, groups: list[str]) -> Findings:
    """Add the fractions, put the group columns first, and sort."""
    whole = sums(group, frame["self"].to_numpy(dtype="float64"), int(group.max(initial=0)) + 1)[group]
    whole = np.where(whole > 0, whole, np.nan)
    frame = frame.assign(self_fraction=frame["self"] / whole, total_fraction=frame["total"] / whole)
    front = {name: named[name].take(group).array for name in groups}
    frame = pd.concat([pd.DataFrame(front, index=frame.index), frame[_COLUMNS]], axis="columns")
    # The groups with the most time first, so that a server's workers come before its idle master.
    order = np.lexsort((-frame["total"].to_numpy(), -frame["self"].to_numpy(), group, -np.nan_to_num(whole)))
    frame = frame.iloc[order].reset_index(drop=True)
    if frame.empty:
        return findings(frame, "no function")
    top = frame.loc[frame["self"].idxmax()]
    return findings(
        frame,
        f"{count(len(frame), 'function')}; {top['function']} itself takes {format_fraction(top['self_fraction'])}",
    )
