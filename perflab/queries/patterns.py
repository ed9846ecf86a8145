"""Patterns of N+1 in a log: statements -> groups -> parents -> growth -> evidence -> a row for each pattern."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.notes import Note
from perflab.queries import claims, suggestions
from perflab.queries.groups import (
    LEAST_DISTINCT,
    Groups,
    Ints,
    different,
    grouped,
    keys_asked,
    moving_keys,
    single_rows,
    varying,
)
from perflab.queries.growth import LIMIT, Growth, growth
from perflab.queries.nouns import own_key
from perflab.queries.parents import calls_after, with_parents
from perflab.queries.scaling import Scaling
from perflab.queries.shape import Shape
from perflab.queries.statements import Statements, statements

PATTERN_COLUMNS = (
    "parent", "child", "route", "units", "calls", "calls_per_unit", "time_ms", "slope", "slope_low", "slope_high",
    "p_value", "evidence", "suggestion", "example_unit", "calls_saved", "time_saved_ms", "unit_time_fraction",
    "unit_p95_ms", "source",
)  # fmt: skip

_MANY_UNITS = 20
_OWN_VALUES = 3
"""So many units, each with a single value of its own, are no lists that all happen to hold one."""


class Found(NamedTuple):
    """What was found in a log: statements, units that do some work, patterns, occurrences by unit, and notes."""

    statements: int
    units: int
    patterns: pd.DataFrame
    by_unit: pd.DataFrame
    notes: tuple[Note, ...]


class Search(NamedTuple):
    """A log's groups, the repeated ones with their parent and the number of their pattern, and the patterns."""

    groups: Groups
    occurrences: pd.DataFrame
    patterns: pd.DataFrame


def found_in(queries: pd.DataFrame | Measurements, threshold: int, dialect: str | None) -> Found:
    """The patterns, with hidden columns by which those of several parts of a log are merged."""
    return found_by(searched(queries, threshold, dialect))


def found_by(search: Search) -> Found:
    """What a search found."""
    prepared = search.groups.prepared
    by_unit = _by_unit(*search)
    return Found(len(prepared.frame), len(prepared.working_units()), search.patterns, by_unit, prepared.units.notes)


def searched(queries: pd.DataFrame | Measurements, threshold: int = 5, dialect: str | None = None) -> Search:
    """statements -> groups -> parents -> patterns."""
    if isinstance(threshold, bool) or not isinstance(threshold, int) or threshold < 2:
        raise ValueError(f"threshold must be a whole number of at least 2; got {threshold!r}")
    prepared = statements(queries, dialect=dialect, stores=True)
    groups = grouped(prepared, threshold)
    single = single_rows(groups)
    moving = moving_keys(groups, single)
    occurrences = _numbered(groups, with_parents(groups, moving, single, threshold))
    parts = [part for _, part in occurrences.groupby("pattern", sort=True)]
    whole = _Whole(_unit_time(prepared), len(prepared.working_units()))
    rows = [_row(groups, part, moving, whole) for part in parts]
    if not rows:
        return Search(groups, occurrences, _no_patterns())
    patterns = pd.DataFrame(rows)
    for column in ("parent", "route", "suggestion", "example_unit", "source"):
        patterns[column] = patterns[column].astype("str")
    return Search(groups, occurrences, patterns)


def _numbered(groups: Groups, occurrences: pd.DataFrame) -> pd.DataFrame:
    """Each repeated group with the number of its pattern: one for each parent, child, call site and route."""
    members = occurrences["group"].to_numpy()
    fp = groups.column("fp")
    writes = np.array([s.kind == "write" for s in groups.shapes], dtype=bool)
    key = pd.DataFrame(
        {
            "parent": np.where(occurrences["parent"] >= 0, fp[occurrences["parent"]], -1),
            "holder": np.where(occurrences["holder"] >= 0, fp[occurrences["holder"]], -1),
            "child": fp[members],
            "site": groups.column("site")[members],
            "route": groups.column("route")[members],
            "same": occurrences["same"].to_numpy() & ~writes[fp[members]],
        }
    )
    numbers = key.groupby(list(key.columns), sort=False).ngroup().to_numpy() if len(key) else np.zeros(0, dtype="int64")
    return occurrences.assign(pattern=numbers)


def _no_patterns() -> pd.DataFrame:
    texts = ("parent", "child", "route", "evidence", "suggestion", "example_unit", "source")
    counts = ("units", "calls", "calls_saved")
    kinds = {c: "str" if c in texts else "int64" if c in counts else "float64" for c in PATTERN_COLUMNS}
    return pd.DataFrame(
        {c: pd.Series([], dtype=kind) for c, kind in kinds.items()}
        | {c: pd.Series([], dtype="int64") for c in ("_rank", "_driver")}
        | {c: pd.Series([], dtype="object") for c in ("_same", "_holder", "_unit_ms")}
    )


class _Whole(NamedTuple):
    """Of all statements: milliseconds in the database by unit, and how many units do some work."""

    unit_time: npt.NDArray[np.float64]
    units: int


def _row(groups: Groups, part: pd.DataFrame, moving: dict[int, tuple[str, ...]], whole: _Whole) -> dict[str, object]:
    """One pattern, from the groups that it was found in."""
    prepared, members = groups.prepared, part["group"].to_numpy()
    fp, first = groups.column("fp"), int(members[0])
    child, route = int(fp[first]), str(groups.column("route")[first])
    driver, holder = (int(fp[p]) if p >= 0 else -1 for p in part[["parent", "holder"]].to_numpy()[0])
    parent = holder if holder >= 0 and driver >= 0 else driver
    grown = growth(groups, driver, members) if driver not in (-1, child) else None
    facts = _facts(groups, part, driver, grown, whole.units)
    level = claims.level(facts)
    calls, time = (groups.table[c].to_numpy()[members].sum() for c in ("calls", "time_ms"))
    unit_time = whole.unit_time[np.unique(groups.column("unit")[members])]
    pages = facts.shape.kind != "write" and facts.turns_pages
    saved = int(calls) - len(members) if level in claims.FIXABLE and not pages else 0
    fit = facts.grown
    text, above = prepared.fingerprints[child], prepared.fingerprints[parent] if parent >= 0 else None
    advice = suggestions.suggestion(above, text, level, moving[child], _few(groups, members, facts))
    return {
        "parent": above if level != claims.NO_PARENT else None,
        "child": text,
        "route": route or None,
        "units": len(members),
        "calls": int(calls),
        "calls_per_unit": calls / len(members),
        "time_ms": float(time),
        "slope": fit.slope,
        "slope_low": fit.low,
        "slope_high": fit.high,
        "p_value": fit.p_value,
        "evidence": level,
        "suggestion": suggestions.PAGES if pages else f"{advice}{_cold(groups, members, level)}",
        "example_unit": _example(groups, members),
        "calls_saved": saved,
        "time_saved_ms": float(time) * saved / calls,
        "unit_time_fraction": time / unit_time.sum() if unit_time.sum() else 0.0,
        "unit_p95_ms": float(np.quantile(unit_time, 0.95, method="median_unbiased")),
        "source": _source(groups, members),
        "_rank": claims.LEVELS.index(level),
        "_driver": driver,
        "_same": bool(part["same"].iloc[0]),
        "_holder": prepared.fingerprints[holder] if holder >= 0 else "",
        "_unit_ms": unit_time,
    }


def _facts(groups: Groups, part: pd.DataFrame, driver: int, grown: Growth | None, units: int) -> claims.Facts:
    members, parents = part["group"].to_numpy(), part["parent"].to_numpy()
    calls = groups.column("calls")
    per_call = [groups.column(c)[members] / calls[members] for c in ("between", "written")]
    shape = groups.shapes[int(groups.column("fp")[members[0]])]
    return claims.Facts(
        shape=shape,
        parent=driver >= 0,
        linked=int(part["linked"].max()),
        own_row=driver >= 0 and _own_row(groups.shapes[driver], shape),
        own_value=driver >= 0 and bool(part["same"].all()) and _own_value(groups, members, parents),
        calls=calls_after(groups, parents, members),
        parent_rows=np.where(parents >= 0, groups.column("rows")[parents], np.nan),
        variety=_variety(groups, members),
        grown=grown.scaling if grown is not None and grown.speaks else Scaling(),
        filled=grown is not None and grown.filled,
        bounded=grown is not None and grown.measure == LIMIT and (grown.scaling.tested or grown.stands_still),
        by_own_key=len(shape.tables) == 1 and any(own_key(key, shape.tables[0]) for key in shape.keys),
        opaque=driver >= 0 and groups.shapes[driver].opaque,
        once=driver >= 0 and bool(np.median(calls[parents]) == 1),
        interrupted=bool(np.median(per_call[0]) >= 0.5),
        written=bool(np.median(per_call[1]) >= 0.5),
        everywhere=driver >= 0 and _everywhere(groups, driver, int(groups.column("fp")[members[0]]), units),
        sure=not bool(groups.column("low")[members].mean() > 0.5),
    )


def _variety(groups: Groups, members: Ints) -> claims.Variety:
    """How the values of a pattern differ within its units and between them (read in some of the units)."""
    share = float(np.median(groups.column("distinct")[members] / groups.column("calls")[members]))
    shape = groups.shapes[int(groups.column("fp")[members[0]])]
    asked = keys_asked(groups, members, shape)
    if not asked or any(len(a) == 0 for a in asked):
        return claims.Variety(share, 0 if np.isnan(share) else 2, False, True)
    places = varying(asked)
    sets = {frozenset(tuple(row[i] for i in places) for row in unit) for unit in asked}
    most = max(len({tuple(row[i] for i in places) for row in unit}) for unit in asked) if places else 1
    moves = any(place < len(shape.keys) for place in places)
    return claims.Variety(share, most, len(asked) >= 3 and len(sets) == 1, moves)


def _own_row(above: Shape, below: Shape) -> bool:
    """Whether the child reads a row of the parent's own table again, by its key."""
    if len(below.tables) != 1 or above.tables[:1] != below.tables:
        return False
    return any(own_key(key, below.tables[0]) for key in below.keys)


def _own_value(groups: Groups, members: Ints, parents: Ints) -> bool:
    """Whether each unit asks for a single value, its own, which no row holds: who is logged in.

    Not so where the list was selected by that value (the author of an author's posts; but not a tenant's settings for each of
    its rows), nor where lists of other units hold few values.
    """
    fp, distinct = groups.column("fp"), groups.column("distinct")
    below, above = (groups.shapes[int(fp[chosen[0]])] for chosen in (members, parents))
    asked = keys_asked(groups, members, below)
    if not all(asked) or len({unit[-1] for unit in asked}) < _OWN_VALUES:
        return False
    held = [{value for row in unit for value in row} for unit in keys_asked(groups, parents, above)]
    selected = sum(not mine.isdisjoint(unit[-1]) for mine, unit in zip(held, asked, strict=True)) * 2 > len(asked)
    if selected and below.single_row:
        return False
    same = np.logical_and.reduce([groups.column(c) == groups.column(c)[members[0]] for c in ("fp", "site", "path")])
    others = np.setdiff1d(np.flatnonzero(same & groups.column("repeated")), members)
    others = others[np.isfinite(distinct[others])]
    return not len(others) or bool(np.median(distinct[others] / groups.column("calls")[others]) >= LEAST_DISTINCT)


def _few(groups: Groups, members: Ints, facts: claims.Facts) -> int:
    """How many different values the calls of a unit have, where they are few for the calls; 0 otherwise."""
    return int(np.median(groups.column("distinct")[members])) if facts.variety.distinct < LEAST_DISTINCT else 0


def _cold(groups: Groups, members: Ints, level: str) -> str:
    """A word where only the first units of a route have the pattern, as before a cache of the process is filled."""
    if level not in claims.CLAIMS:
        return ""
    unit, path = groups.column("unit"), groups.column("path")
    units = different(unit[path == path[members[0]]])
    mine = np.searchsorted(units, unit[members])
    early = len(units) >= _MANY_UNITS and len(mine) * 4 < len(units) and int(mine.max()) * 2 < len(units)
    return f" Only {len(mine)} of {len(units)} units have it, all among the first: a cold cache." if early else ""


def _everywhere(groups: Groups, parent: int, child: int, total: int) -> bool:
    """Whether the parent runs in most units, most of which have no such child: a preamble (who is logged in?), no list."""
    unit, fp = groups.column("unit"), groups.column("fp")
    asked = different(unit[fp == parent])
    both = int(np.isin(different(unit[fp == child]), asked).sum())
    return total >= _MANY_UNITS and len(asked) * 2 > total and both * 2 < len(asked)


def _unit_time(prepared: Statements) -> npt.NDArray[np.float64]:
    """Milliseconds in the database of each unit."""
    frame = prepared.frame
    took = frame["duration_ms"].to_numpy(dtype="float64")
    return np.bincount(frame["unit"], weights=took, minlength=len(prepared.units.names)).astype("float64")


def _example(groups: Groups, members: Ints) -> str:
    """The unit with the most calls."""
    worst = members[int(np.argmax(groups.column("calls")[members]))]
    return str(groups.prepared.units.names[int(groups.column("unit")[worst])])


def _source(groups: Groups, members: Ints) -> str | None:
    """The call site, where it is known."""
    site = groups.prepared.frame["source"].to_numpy(dtype=object)[groups.column("first")[members[0]]]
    return site if isinstance(site, str) and site else None


def growth_of(search: Search, pattern: pd.Series[object]) -> Growth | None:
    """The growth of a row of `find_n_plus_one`; None where it has no parent."""
    groups, occurrences, patterns = search
    columns = ["parent", "child", "route", "evidence", "source", "units", "calls"]
    wanted = [pattern[c] if isinstance(pattern[c], (str, int, np.integer)) else None for c in columns]
    same = [
        [v if v == v else None for v in row] == wanted for row in patterns[columns].astype(object).to_numpy().tolist()
    ]
    number = next(iter(np.flatnonzero(same)), None)
    if number is None:
        return None
    members = occurrences["group"].to_numpy()[occurrences["pattern"].to_numpy() == number]
    driver = int(patterns["_driver"].iloc[number])
    return growth(groups, driver, members) if driver not in (-1, groups.column("fp")[members[0]]) else None


def _by_unit(groups: Groups, occurrences: pd.DataFrame, patterns: pd.DataFrame) -> pd.DataFrame:
    members = occurrences["group"].to_numpy()
    numbers = occurrences["pattern"].to_numpy()
    level = patterns["evidence"].to_numpy(dtype=object)[numbers]
    table = pd.DataFrame(
        {
            "unit": groups.prepared.units.names.array[groups.column("unit")[members].astype("int64")],
            "parent": patterns["parent"].array.take(numbers),
            "child": patterns["child"].array.take(numbers),
            "calls": groups.column("calls")[members],
            "distinct_parameters": pd.array(groups.column("distinct")[members], dtype="Float64").astype("Int64"),
            "time_ms": groups.column("time_ms")[members],
            "evidence": pd.array(level, dtype="str"),
        }
    )
    return table.assign(_rank=patterns["_rank"].to_numpy()[numbers])
