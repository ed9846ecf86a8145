"""Statements grouped: a row for each unit of work, fingerprint and call site. The first step of finding N+1.

The steps are functions from tables to tables: statements -> groups -> parents -> growth -> evidence -> patterns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.queries.lists_of_one import lists_of_one
from perflab.queries.nouns import same_noun, stem
from perflab.queries.questions import questions
from perflab.queries.shape import Shape
from perflab.queries.statements import Statements
from perflab.queries.values import key_values, limit_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_DISTINCT = 0.6
_UNITS_READ, _CALLS_READ = 24, 40
_OFFSET = " offset ?"
_EXECUTED = r"(?is)^\s*execute\s+([^\s(;]+)"
_GET = 21.0
"""The LIMIT of Django's ``get()``, which expects one row."""


@dataclass(frozen=True, eq=False)
class Groups:
    """``table`` has a row for each group: unit, fp, site (code of the call site), first, second and last (places of those
    statements), calls, time_ms, rows, distinct (different values; both NaN where not known), between (writes and control
    statements between the second and the last), written (of those, writes to its own tables), route, path (its code), low,
    repeated.
    ``order`` holds the places of the statements by group, ``starts`` where each group starts in it, ``arrays`` the columns,
    ``question`` a code of what each statement of a repeated group asks (-1 where not known), ``asked`` the answers of
    `keys_asked` so far.
    """

    prepared: Statements
    table: pd.DataFrame
    order: Ints
    starts: Ints
    arrays: Mapping[str, npt.NDArray[Any]]
    question: Ints
    asked: dict[bytes, list[list[tuple[str, ...]]]] = field(default_factory=dict)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return self.prepared.shapes

    def column(self, name: str) -> npt.NDArray[Any]:
        return self.arrays[name]


def grouped(prepared: Statements, threshold: int) -> Groups:
    """Group the statements (those that pass lists of one value apart from batches of the same text)."""
    prepared = lists_of_one(prepared, threshold)
    frame, width = prepared.frame, max(1, len(prepared.fingerprints))
    site = _sites(prepared)
    sites = int(site.max(initial=0)) + 1
    codes = (frame["unit"].to_numpy() * width + frame["fp"].to_numpy()) * sites + site
    unique, first, member, calls = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    unit, fp = unique // sites // width, _first_pages(prepared)[unique // sites % width]
    total = len(unique)
    judged = np.array([s.kind in ("lookup", "write") or s.asks for s in prepared.shapes], dtype=bool)
    repeated = (calls >= threshold) & (judged[fp] if total else np.zeros(0, dtype=bool))
    took = frame["duration_ms"].to_numpy(dtype="float64")
    second, last = _second(member, first), _last(member, total)
    question = _questions(prepared, member, repeated)
    busy = np.array([s.kind in ("write", "control") for s in prepared.shapes], dtype=bool)[frame["fp"].to_numpy()]
    counted = np.append(0, np.cumsum(busy))
    table = pd.DataFrame(
        {
            "unit": unit, "fp": fp, "site": unique % sites, "first": first, "second": second, "last": last,
            "calls": calls,
            "time_ms": np.bincount(member, weights=took, minlength=total).astype("float64"),
            "rows": _rows(prepared, member, total, unit, fp),
            "distinct": _distinct(question, member, repeated),
            "between": counted[last] - counted[second],
            "written": _written(prepared, fp, second, last, repeated),
            "route": frame["route"].to_numpy(dtype=object)[first],
            "path": pd.factorize(frame["route"])[0][first],
            "low": prepared.units.low[unit],
            "repeated": repeated,
        }
    )  # fmt: skip
    arrays = {name: table[name].to_numpy() for name in table.columns}
    return Groups(prepared, table, np.argsort(member, kind="stable"), np.append(0, np.cumsum(calls)), arrays, question)


def different(units: Ints) -> Ints:
    """The different ones of some groups' units, which are in order in the table of groups."""
    return units[np.append(True, units[1:] != units[:-1])] if len(units) else units


def _sites(prepared: Statements) -> Ints:
    """A code of the call site of each statement, and of the name of the prepared one that it executes."""
    site: Ints = pd.factorize(prepared.frame["source"])[0].astype("int64") + 1
    executes = np.array([text.startswith("execute ?") for text in prepared.fingerprints], dtype=bool)
    if not executes.any() or not len(site):
        return site
    executed = executes[prepared.frame["fp"].to_numpy()]
    names = prepared.frame["sql"].str.extract(_EXECUTED, expand=False).where(executed)
    named = pd.factorize(names)[0].astype("int64") + 1
    both: Ints = site * (named.max() + 1) + named
    return both


def _first_pages(prepared: Statements) -> Ints:
    """For each fingerprint its code, or that of the same without OFFSET, which many clients leave out on the first page."""
    places = {text: code for code, text in reversed(list(enumerate(prepared.fingerprints)))}
    return np.array(
        [
            places.get(text.replace(_OFFSET, ""), code) if _OFFSET in text else code
            for code, text in enumerate(prepared.fingerprints)
        ],
        dtype="int64",
    )


def _second(member: Ints, first: Ints) -> Ints:
    again = np.ones(len(member), dtype=bool)
    again[first] = False
    places = np.flatnonzero(again)
    groups, earliest = np.unique(member[places], return_index=True)
    second = first.copy()
    second[groups] = places[earliest]
    return second


def _last(member: Ints, total: int) -> Ints:
    last = np.zeros(total, dtype="int64")
    last[member] = np.arange(len(member))
    return last


def _rows(prepared: Statements, member: Ints, total: int, unit: Ints, fp: Ints) -> Floats:
    """Rows that all statements of a group returned; those of a cursor are what was fetched in its unit."""
    rows = prepared.frame["rows"].to_numpy()
    known = ~np.isnan(rows)
    summed = np.bincount(member, weights=np.where(known, rows, 0.0), minlength=total)
    found = np.where(np.bincount(member, weights=known, minlength=total) > 0, summed, np.nan)
    declared = np.array([s.cursor for s in prepared.shapes], dtype=bool)
    fetches = np.array([s.verb == "fetch" for s in prepared.shapes], dtype=bool)
    if total and declared.any() and fetches.any():
        units = len(prepared.units.names)
        fetched = np.bincount(unit[fetches[fp]], weights=found[fetches[fp]], minlength=units)
        alone = np.bincount(unit[declared[fp]], minlength=units) == 1
        mine = declared[fp] & alone[unit] & (np.bincount(unit[fetches[fp]], minlength=units) > 0)[unit]
        found = np.where(mine, fetched[unit], found)
    return found


def _questions(prepared: Statements, member: Ints, repeated: Flags) -> Ints:
    """What each statement of a repeated group asks; -1 where that is not known, and for all others."""
    found = np.full(len(member), -1, dtype="int64")
    places = np.flatnonzero(repeated[member]) if len(member) else found[:0]
    if len(places):
        found[places] = questions(prepared.frame.iloc[places], prepared.dialect)
    return found


def _distinct(question: Ints, member: Ints, repeated: Flags) -> Floats:
    """How many different values each repeated group was asked with; NaN where any is not known."""
    total, width = len(repeated), int(question.max(initial=-1)) + 2
    blind = np.bincount(member, question < 0, minlength=total) > 0
    asked = np.unique(member * width + question + 1) // width
    return np.where(repeated & ~blind, np.bincount(asked, minlength=total), np.nan)


def _written(prepared: Statements, fp: Ints, second: Ints, last: Ints, repeated: Flags) -> Ints:
    """Writes to its own tables between the second and the last statement of each repeated group."""
    found = np.zeros(len(fp), dtype="int64")
    codes = prepared.frame["fp"].to_numpy()
    writes = [(code, set(s.tables)) for code, s in enumerate(prepared.shapes) if s.kind == "write" and s.tables]
    for code in np.unique(fp[repeated]).tolist():
        tables = set(prepared.shapes[code].tables)
        own = [w for w, written in writes if written & tables and w != code]
        if own and prepared.shapes[code].kind != "write":
            mine = np.flatnonzero(repeated & (fp == code))
            places = np.flatnonzero(np.isin(codes, own))
            found[mine] = np.searchsorted(places, last[mine]) - np.searchsorted(places, second[mine])
    return found


def keys_asked(groups: Groups, chosen: Ints, shape: Shape) -> list[list[tuple[str, ...]]]:
    """The values of the keys in the first calls of some of these groups; an empty list where any is not known."""
    key = chosen.tobytes()
    if key not in groups.asked:
        groups.asked[key] = _keys_asked(groups, chosen, shape)
    return groups.asked[key]


def _keys_asked(groups: Groups, chosen: Ints, shape: Shape) -> list[list[tuple[str, ...]]]:
    step = max(1, len(chosen) // _UNITS_READ)
    some = chosen[::step][:_UNITS_READ]
    counts = np.minimum(groups.column("calls")[some], _CALLS_READ).astype("int64")
    places = np.concatenate(
        [groups.order[groups.starts[g] : groups.starts[g] + n] for g, n in zip(some, counts, strict=True)]
    )
    rows = (groups.prepared.frame[column].array.take(places) for column in ("sql", "parameters"))
    values = [
        key_values(sql, parameters, shape.key_slots, groups.prepared.dialect)
        for sql, parameters in zip(*rows, strict=True)
    ]
    ends = np.cumsum(counts)
    parts = [values[end - n : end] for end, n in zip(ends.tolist(), counts.tolist(), strict=True)]
    return [[] if any(v is None for v in part) else [v for v in part if v is not None] for part in parts]


def varying(asked: list[list[tuple[str, ...]]]) -> list[int]:
    """The key slots that take more than one value within some unit."""
    width = min(len(row) for unit in asked for row in unit)
    return [i for i in range(width) if any(len({row[i] for row in unit}) > 1 for unit in asked)]


def moving_keys(groups: Groups, single: Flags) -> dict[int, tuple[str, ...]]:
    """Of each repeated fingerprint the keys that take several values within a unit: only those can come from a parent.

    Where the values are not known, those that no lookup of one row explains (the tenant, the language of the request);
    all of its keys where none moves but a range next to them.
    """
    found = {}
    fp, repeated = groups.column("fp"), np.flatnonzero(groups.column("repeated"))
    unit = groups.column("unit")
    alone = single[fp] & np.array([bool(s.tables) for s in groups.shapes], dtype=bool)[fp]
    for code in np.unique(fp[repeated]).tolist():
        shape = groups.shapes[code]
        asked = keys_asked(groups, repeated[fp[repeated] == code], shape)
        if len(shape.key_slots) >= len(shape.keys) and shape.keys and all(asked):
            moving = [shape.keys[i] for i in varying(asked) if i < len(shape.keys)]
        else:
            here = np.unique(unit[repeated[fp[repeated] == code]])
            beside = np.unique(fp[alone & np.isin(unit, here)])
            owners = [stem(groups.shapes[one].tables[0]) for one in beside.tolist()]
            moving = [key for key in shape.keys if not any(same_noun(stem(key), owner) for owner in owners)]
        found[code] = tuple(moving) or shape.keys
    return found


def single_rows(groups: Groups) -> Flags:
    """Which fingerprints return one row at most, by all appearance: found by a key, an aggregate, LIMIT 1."""
    prepared = groups.prepared
    found = np.array([s.single_row or s.one_row for s in prepared.shapes], dtype=bool)
    fp, first = groups.column("fp"), groups.column("first")
    sql, parameters = prepared.frame["sql"].array, prepared.frame["parameters"].array
    for code in np.unique(fp).tolist():
        shape = prepared.shapes[code]
        if not found[code] and shape.hands_out and shape.limit_slot is not None:
            places = first[fp == code]
            # By several units, not the first: one list of a page that is limited to one row says nothing of the others.
            some = places[:: max(1, len(places) // _UNITS_READ)][:_UNITS_READ].tolist()
            most = {limit_of(sql[p], parameters[p], shape.limit_slot, shape.listed, prepared.dialect) for p in some}
            found[code] = most == {1} or (most == {_GET} and bool(shape.keys) and not shape.ordered)
    return found
