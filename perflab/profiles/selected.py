"""Selects the rows of a profile: one unit, and groups of runs, threads or endpoints."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import MissingTableError, one_of
from perflab.profiles.call_trees import FRAME, Flags, Floats, Ints, Tree, from_parents, shape
from perflab.units import format_ms, format_number

Profile: TypeAlias = Measurements | pd.DataFrame
GROUPS = ("run", "thread", "endpoint")


@dataclass(frozen=True)
class Rows:
    """The rows of one unit: their frame numbers, parents and subtree ends, and the distinct frames by number."""

    table: pd.DataFrame
    unit: str
    code: Ints
    parent: Ints
    end: Ints
    frames: pd.DataFrame


def table_of(profile: Profile) -> pd.DataFrame:
    """The ``profile`` table, or the ``calls`` table if there is no other."""
    if isinstance(profile, pd.DataFrame):
        if not {"function", "depth", "self", "total"} <= set(profile.columns) and "callee" not in profile.columns:
            raise ValueError(
                "profile must be Measurements, or a profile or calls table; "
                f"got columns {', '.join(map(str, profile.columns[:8]))}"
            )
        return profile
    if not isinstance(profile, Measurements):
        raise ValueError(f"profile must be Measurements or a table; got {type(profile).__name__}")
    if "profile" in profile.tables:
        return profile.profile
    if "calls" in profile.tables:
        return profile.calls
    raise MissingTableError(
        f"these measurements hold no profile: they hold {', '.join(profile.tables)}; record one with run(..., profile=...) "
        "or read a profiler's file"
    )


def is_graph(table: pd.DataFrame) -> bool:
    return "callee" in table.columns


def tree_rows(profile: Profile, unit: str | None) -> Rows:
    """The rows of one unit, by default the profile's first."""
    table = table_of(profile)
    if is_graph(table):
        raise MissingTableError(
            "this profile is a graph of calls (cProfile, callgrind) without stacks; use flat_profile, callers_of or "
            "diff_profiles, or record with a sampling profiler"
        )
    if not len(table):
        raise ValueError("the profile has no rows")
    units = table["unit"].unique()
    if unit is not None and unit not in units:
        raise one_of("unit", unit, units)
    wanted = units[0] if unit is None else unit
    if len(units) > 1:
        table = table[(table["unit"] == wanted).to_numpy()]
    found = shape(table["depth"].to_numpy(dtype="int64"))
    code, frames = frame_codes(table)
    return Rows(table, str(wanted), code, found.parent, found.end, frames)


def shares_of(rows: Rows, what: str) -> Rows:
    """The rows, if shares of them are meaningful; ValueError for a difference of two profiles."""
    if (rows.table["self"] < 0).any():
        raise ValueError(
            f"{what} needs a profile, but this is a difference of two (it has negative values); use flat_profile"
        )
    return rows


def frame_codes(table: pd.DataFrame, columns: Sequence[str] = FRAME) -> tuple[Ints, pd.DataFrame]:
    """A number for each row, equal where the columns are, and the distinct frames by number."""
    key = np.zeros(len(table), dtype="int64")
    for name in columns:
        codes, distinct = pd.factorize(table[name])
        key = key * (len(distinct) + 1) + codes + 1
        if len(distinct) and len(table) and key.max() > 2**40:
            key = np.unique(key, return_inverse=True)[1]
    _, first, code = np.unique(key, return_index=True, return_inverse=True)
    return code.astype("int64"), table[list(columns)].iloc[first].reset_index(drop=True)


def group_columns(table: pd.DataFrame, per: Sequence[str] | None) -> list[str]:
    """The columns to keep apart: those requested, or run, thread and endpoint with several values."""
    known = [name for name in GROUPS if name in table.columns]
    if per is None:
        return [name for name in known if table[name].nunique(dropna=False) > 1]
    for name in per:
        if name not in known:
            raise one_of("per", name, known)
    return list(per)


def merged(rows: Rows) -> Tree:
    """All runs and threads as one tree, with equal paths merged. Frames are numbered as in ``rows``."""
    return from_parents(rows.parent, rows.code, rows.table["self"].to_numpy(dtype="float64"), frames=len(rows.frames))[
        0
    ]


def subtree(tree: Tree, roots: Flags, end: Ints) -> Tree:
    """The parts of a tree below these nodes, with each node as a root and equal ones merged."""
    inside = np.zeros(len(tree) + 1, dtype="int64")
    inside[np.flatnonzero(roots)] += 1
    np.add.at(inside, end[roots], -1)
    kept = np.cumsum(inside[:-1]) > 0
    number = np.cumsum(kept) - 1
    parent = np.where(roots | (tree.parent < 0), -1, number[tree.parent])
    return from_parents(parent[kept], tree.frame[kept], tree.self_weight[kept])[0]


def matching(frames: pd.DataFrame, function: str, file: str | None) -> Ints:
    """The numbers of the frames of a function; ``method`` also finds ``Class.method``.

    ValueError with the nearest names if there is none.
    """
    found = (frames["function"] == function).to_numpy(dtype=bool)
    if not found.any():  # some profilers write Class.method
        found = frames["function"].str.endswith(f".{function}").to_numpy(dtype=bool)
    if file is not None:
        found &= frames["file"].fillna("").str.endswith(file).to_numpy(dtype=bool)
    if not found.any():
        near = difflib.get_close_matches(function, frames["function"].unique().tolist(), n=3, cutoff=0.5)
        hint = f"; the nearest names are {', '.join(near)}" if near else ""
        raise ValueError(
            f"function must occur in the profile; {function!r} does not" + (f" in {file!r}" if file else "") + hint
        )
    return np.flatnonzero(found)


def as_table(tree: Tree, frames: pd.DataFrame, unit: str, run: str) -> pd.DataFrame:
    """A tree as a profile table; its frames are numbered as in ``frames``."""
    names = frames.take(tree.frame).reset_index(drop=True)
    return pd.DataFrame(
        {
            "run": run, "thread": pd.array([None] * len(tree), dtype="str"), "node": np.arange(len(tree)),
            "parent": pd.arrays.IntegerArray(np.maximum(tree.parent, 0), tree.parent < 0), "depth": tree.depth,
            **{name: names[name] for name in FRAME}, "self": tree.self_weight, "total": tree.total, "unit": unit,
        }
    )  # fmt: skip


def sums(code: Ints, values: Floats, count: int) -> Floats:
    return np.bincount(code, weights=values, minlength=count).astype("float64")


def amount(value: float, unit: str) -> str:
    """A value with its unit, as in titles and on axes.

    >>> amount(2050.0, "ms/request"), amount(1234.6, "samples")
    ('2.05 s/request', '1,230 samples')
    """
    if unit == "ms" or unit.startswith("ms/"):
        return format_ms(value) + unit.removeprefix("ms")
    return f"{format_number(float(f'{value:.3g}'))} {unit}"
