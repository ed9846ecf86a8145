"""Statements repeated within a unit of work: one group for each unit and fingerprint, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.queries.lists_of_one import lists_of_one
from perflab.queries.shape import Shape, link
from perflab.queries.statements import Statements
from perflab.queries.values import key_values, limit_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_DISTINCT = 0.6
_UNITS_LOOKED_AT = 24
_CALLS_LOOKED_AT = 40
_MANY_UNITS = 20


@dataclass(frozen=True)
class Variety:
    """How a child's values differ: ``distinct`` of the calls (a share, NaN when the values were not recorded), the
    most different values of its keys in one unit, and whether every unit asked for the very same ones."""

    distinct: float
    keys: int
    same_everywhere: bool


@dataclass(frozen=True, eq=False)
class Groups:
    """The statements of one fingerprint in one unit, as columns.

    ``first``, ``second`` and ``last`` are the places of those (of the only one, three times), ``rows`` what all returned,
    ``distinct`` how many different values they had (both NaN where not known). By unit and fingerprint.
    """

    unit: Ints
    fp: Ints
    first: Ints
    second: Ints
    last: Ints
    calls: Ints
    time_ms: Floats
    rows: Floats
    distinct: Floats

    def __len__(self) -> int:
        return len(self.unit)


@dataclass(frozen=True, eq=False)
class Repeats:
    """``groups``, the group that each statement is a ``member`` of, and the groups ``repeated`` often enough to be judged."""

    prepared: Statements
    groups: Groups
    member: Ints
    repeated: Ints
    threshold: int

    @cached_property
    def selects(self) -> Ints:
        """Positions of the groups that read tables, by unit and first appearance."""
        reads = np.array([s.kind in ("lookup", "batch", "scan") for s in self.prepared.shapes], dtype=bool)
        chosen = np.flatnonzero(reads[self.groups.fp])
        return chosen[np.argsort(self.groups.first[chosen], kind="stable")]

    @cached_property
    def select_keys(self) -> Ints:
        return self.groups.first[self.selects]

    def links(self, parents: Ints, children: Ints, here: Flags) -> Ints:
        """How clearly the names tie each child to its candidate, worked out once for each pair of fingerprints."""
        fp = self.groups.fp
        prints = self.prepared.fingerprints
        pairs = np.where(here, fp[parents] * len(prints) + fp[children], -1)
        different, where = np.unique(pairs, return_inverse=True)
        strengths = [
            link(prints[p // len(prints)], prints[p % len(prints)], self.moving[p % len(prints)]) if p >= 0 else 0
            for p in different.tolist()
        ]
        return np.array(strengths, dtype="int64")[where]

    @cached_property
    def moving(self) -> dict[int, tuple[str, ...]]:
        """Of each repeated fingerprint the keys that take several values within a unit: only those can come from a parent.

        All of its keys where the values are not known, or where none moves but a range beside them.
        """
        found = {}
        for code in np.unique(self.groups.fp[self.repeated]).tolist():
            shape = self.prepared.shapes[code]
            mine = self.repeated[self.groups.fp[self.repeated] == code]
            asked = self._asked_for(mine, shape)
            known = len(shape.key_slots) >= len(shape.keys) and all(asked)
            moving = [shape.keys[i] for i in _varying(asked) if i < len(shape.keys)] if known else []
            found[code] = tuple(moving) or shape.keys
        return found

    def could_hand_out(self, parents: Ints, children: Ints, strength: Ints) -> Flags:
        """Whether the candidate returned enough rows to cause these calls, as far as is known."""
        rows, calls = self.groups.rows[parents], self.groups.calls
        single = np.array([s.single_row for s in self.prepared.shapes], dtype=bool)[self.groups.fp[parents]]
        plausible = np.where(
            np.isnan(rows), ~single | (calls[parents] > 1), (rows >= 2) & (rows * 3 >= calls[children])
        )
        writes = self._writes[self.groups.fp[children]]
        possible: Flags = plausible & ((strength >= 0) | writes | self.rows_match(parents, children))
        return possible

    @cached_property
    def _writes(self) -> Flags:
        return np.array([s.kind == "write" for s in self.prepared.shapes], dtype=bool)

    def rows_match(self, parents: Ints, children: Ints) -> Flags:
        """Where there were as many calls as rows, and not by chance: in most units of the route in which both ran."""
        rows, fp = self.groups.rows[parents], self.groups.fp
        matched: Flags = rows == self.groups.calls[children]
        if not matched.any():
            return matched
        routes = pd.factorize(self._unit_route)[0][self.groups.unit[children]]
        pairs = (routes * len(self.prepared.shapes) + fp[parents]) * len(self.prepared.shapes) + fp[children]
        together = ~np.isnan(rows) & (self.groups.unit[parents] == self.groups.unit[children])
        _, pair = np.unique(pairs, return_inverse=True)
        often = np.bincount(pair, matched & together) * 2 >= np.bincount(pair, together)
        return matched & often[pair]

    def rows_of(self, parents: Ints) -> Floats:
        rows = self.groups.rows[parents]
        return np.where(parents >= 0, rows, np.nan)

    @cached_property
    def _unit_route(self) -> npt.NDArray[np.object_]:
        frame = self.prepared.frame
        first = ~frame["unit"].duplicated()
        routes = np.full(len(self.prepared.units.names), "", dtype=object)
        routes[frame["unit"].to_numpy()[first]] = frame["route"].to_numpy(dtype=object)[first]
        return routes

    def route_of(self, groups: Ints) -> npt.NDArray[np.object_]:
        return self._unit_route[self.groups.unit[groups]]

    @cached_property
    def _unit_time(self) -> Floats:
        frame = self.prepared.frame
        weights = frame["duration_ms"].to_numpy(dtype="float64")
        return np.bincount(frame["unit"], weights=weights, minlength=len(self.prepared.units.names)).astype("float64")

    def unit_time(self, groups: Ints) -> Floats:
        """Milliseconds in the database of each unit that these groups are in."""
        return self._unit_time[np.unique(self.groups.unit[groups])]

    def example(self, groups: Ints) -> str:
        """The unit with the most calls."""
        worst = groups[int(np.argmax(self.groups.calls[groups]))]
        return str(self.prepared.units.names[self.groups.unit[worst]])

    def unsure(self, groups: Ints) -> bool:
        """Whether most of these units have a low confidence."""
        return bool(self.prepared.units.low[self.groups.unit[groups]].mean() > 0.5)

    def source(self, groups: Ints) -> str | None:
        """The call site of the first of these statements that has one."""
        sites = self.prepared.frame["source"].to_numpy(dtype=object)[self.groups.first[groups]]
        return next((str(s) for s in sites if isinstance(s, str) and s), None)

    @cached_property
    def _busy(self) -> Ints:
        """How many writes and control statements ran before each place."""
        busy = np.array([s.kind in ("write", "control") for s in self.prepared.shapes], dtype=bool)
        return np.append(0, np.cumsum(busy[self.prepared.frame["fp"].to_numpy()]))

    def interrupted(self, groups: Ints) -> bool:
        """Whether the calls mostly have writes or savepoints between them, as retries and workers do."""
        between = self._busy[self.groups.last[groups]] - self._busy[self.groups.second[groups]]
        return bool(np.median(between / self.groups.calls[groups]) >= 0.5)

    @cached_property
    def _working(self) -> int:
        return len(self.prepared.working_units())

    def everywhere(self, parent: int, child: int) -> bool:
        """Whether the parent runs in most units, most of which have no such child: a preamble (who is logged in?), no list."""
        unit, fp = self.groups.unit, self.groups.fp
        asked = unit[fp == parent]
        total = self._working
        both = int(np.isin(unit[fp == child], asked).sum())
        return total >= _MANY_UNITS and len(asked) * 2 > total and both * 2 < len(asked)

    def same_question(self, groups: Ints) -> Flags:
        """Whether a group asked for the very same values each time: a duplicate, whatever other units do with it."""
        same: Flags = (self.groups.distinct[groups] == 1) & ~self._writes[self.groups.fp[groups]]
        return same

    def asked(self, parent: int, child: int, route: str, members: Ints) -> Ints:
        """The groups of the parent in units of the route, but for those in which the child repeats itself otherwise.

        Where routes are not known, other pages may ask the parent too, so the child must have run.
        """
        fp, unit = self.groups.fp, self.groups.unit
        asked = np.flatnonzero((fp == parent) & (self._unit_route[unit] == route))
        other = np.setdiff1d(self.repeated[fp[self.repeated] == child], members, assume_unique=True)
        asked = asked[~np.isin(unit[asked], unit[other])]
        return asked if route else asked[self._calls(child)[unit[asked]] > 0]

    def sizes(self, asked: Ints, child: int) -> tuple[Floats, Floats]:
        """Rows of the parent and calls of the child, for each unit."""
        return self.groups.rows[asked], self._calls(child)[self.groups.unit[asked]]

    def limits(self, asked: Ints, child: int) -> tuple[Floats, Floats]:
        """The same with the LIMIT of the parent, or the length of its IN list, for its rows: what it may return at most."""
        asked = asked[:: max(1, len(asked) // 200)]
        if not len(asked):
            return np.zeros(0), np.zeros(0)
        first = self.groups.first[asked]
        shape = self.prepared.shapes[int(self.groups.fp[asked[0]])]
        rows = self.prepared.frame[["sql", "parameters"]].iloc[first]
        sizes = [
            limit_of(sql, parameters, shape.limit_slot, shape.listed, self.prepared.dialect)
            for sql, parameters in zip(rows["sql"], rows["parameters"], strict=True)
        ]
        return np.array(sizes, dtype="float64"), self._calls(child)[self.groups.unit[asked]]

    def times_asked(self, asked: Ints, child: int) -> tuple[Floats, Floats]:
        """How often the parent ran, where it is a lookup in a loop itself, for its rows."""
        times = self.groups.calls[asked].astype("float64")
        lookup = len(asked) > 0 and self.prepared.shapes[int(self.groups.fp[asked[0]])].kind == "lookup"
        repeated = lookup and bool((times > 1).any())
        return (times if repeated else np.full(len(asked), np.nan)), self._calls(child)[self.groups.unit[asked]]

    def _calls(self, child: int) -> Floats:
        calls = np.zeros(len(self.prepared.units.names))
        mine = self.groups.fp == child
        calls[self.groups.unit[mine]] = self.groups.calls[mine]
        return calls

    def variety(self, groups: Ints) -> Variety:
        """How the values of a pattern differ within its units and between them (looked at in some of the units)."""
        share = float(np.median(self.groups.distinct[groups] / self.groups.calls[groups]))
        shape = self.prepared.shapes[int(self.groups.fp[groups[0]])]
        asked = self._asked_for(groups, shape)
        if not asked or any(len(a) == 0 for a in asked):
            return Variety(share, 0 if np.isnan(share) else 2, False)
        varying = _varying(asked)
        sets = {frozenset(tuple(row[i] for i in varying) for row in unit) for unit in asked}
        most = max(len({tuple(row[i] for i in varying) for row in unit}) for unit in asked) if varying else 1
        return Variety(share, most, len(asked) >= 3 and len(sets) == 1)

    def _asked_for(self, groups: Ints, shape: Shape) -> list[list[tuple[str, ...]]]:
        """What some of the groups asked for."""
        step = max(1, len(groups) // _UNITS_LOOKED_AT)
        return self._keys(groups[::step][:_UNITS_LOOKED_AT], shape)

    @cached_property
    def _places(self) -> tuple[Ints, Ints]:
        """The places of the statements by group, and where each group begins among them."""
        return np.argsort(self.member, kind="stable"), np.append(0, np.cumsum(self.groups.calls))

    def _keys(self, groups: Ints, shape: Shape) -> list[list[tuple[str, ...]]]:
        """The values of the keys in the first calls of each group; none where any is not known."""
        order, starts = self._places
        counts = np.minimum(self.groups.calls[groups], _CALLS_LOOKED_AT)
        places = np.concatenate([order[starts[g] : starts[g] + n] for g, n in zip(groups, counts, strict=True)])
        rows = self.prepared.frame[["sql", "parameters"]].iloc[places]
        values = [
            key_values(sql, parameters, shape.key_slots, self.prepared.dialect)
            for sql, parameters in zip(rows["sql"], rows["parameters"], strict=True)
        ]
        ends = np.cumsum(counts)
        parts = [values[end - n : end] for end, n in zip(ends.tolist(), counts.tolist(), strict=True)]
        return [[] if any(v is None for v in part) else [v for v in part if v is not None] for part in parts]


def _varying(asked: list[list[tuple[str, ...]]]) -> list[int]:
    """The key slots that take more than one value within some unit."""
    width = min(len(row) for unit in asked for row in unit)
    return [i for i in range(width) if any(len({row[i] for row in unit}) > 1 for unit in asked)]


def repeats(prepared: Statements, threshold: int) -> Repeats:
    """Group statements by unit and fingerprint (and those that ask for lists of one value apart)."""
    prepared = lists_of_one(prepared, threshold)
    frame, width = prepared.frame, max(1, len(prepared.fingerprints))
    codes = frame["unit"].to_numpy() * width + frame["fp"].to_numpy()
    unique, first, member, calls = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    rows, took = frame["rows"].to_numpy(), frame["duration_ms"].to_numpy(dtype="float64")
    known = ~np.isnan(rows)
    summed = np.bincount(member, weights=np.where(known, rows, 0.0), minlength=len(unique))
    any_known = np.bincount(member, weights=known, minlength=len(unique)) > 0
    judged = np.array([s.kind in ("lookup", "write") for s in prepared.shapes], dtype=bool)
    fp = unique % width
    repeated = np.flatnonzero((calls >= threshold) & judged[fp]) if len(unique) else np.zeros(0, dtype="int64")
    groups = Groups(
        unit=unique // width,
        fp=fp,
        first=first,
        second=_second(member, first),
        last=_last(member, len(unique)),
        calls=calls,
        time_ms=np.bincount(member, weights=took, minlength=len(unique)).astype("float64"),
        rows=np.where(any_known, summed, np.nan),
        distinct=_distinct(prepared, member, repeated, len(unique)),
    )
    return Repeats(prepared, groups, member, repeated, threshold)


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


def _distinct(prepared: Statements, member: Ints, repeated: Ints, total: int) -> Floats:
    """How many different values each repeated group was asked for; NaN where they were not recorded."""
    found = np.full(total, np.nan)
    if not len(repeated):
        return found
    wanted = np.zeros(total, dtype=bool)
    wanted[repeated] = True
    rows = np.flatnonzero(wanted[member])
    part = prepared.frame.iloc[rows]
    texts, kinds = pd.factorize(without_comments(part["sql"]))
    values, _ = pd.factorize(joined_parameters(part["parameters"]), use_na_sentinel=True)
    nothing = (values < 0) & unknown_values(kinds)[texts]
    keys = pd.DataFrame({"group": member[rows], "text": texts, "values": values, "nothing": nothing})
    distinct = keys.drop_duplicates(["group", "text", "values"]).groupby("group").size()
    blind = keys.groupby("group")["nothing"].any()
    found[distinct.index] = np.where(blind.reindex(distinct.index), np.nan, distinct.astype("float64"))
    return found


def unknown_values(texts: Any) -> Flags:
    """Which of the texts have placeholders, whose values are elsewhere if anywhere."""
    found: Flags = (
        pd.Series(texts, dtype="str")
        .str.contains(r"[=(,]\s*(?:\?|\$\d|%s|%\(|:[a-z_])|(?:\?|\$\d+|%s|:\w+)\s*=", regex=True)
        .to_numpy(dtype=bool)
    )
    return found


def without_comments(sql: pd.Series[str]) -> pd.Series[str]:
    return sql.str.replace(r"/\*[^*]*\*/", "", regex=True) if sql.str.contains("/*", regex=False).any() else sql


def joined_parameters(parameters: pd.Series[str]) -> pd.Series[str]:
    """Parameters (lists, mappings or texts) as one text each, missing where there are none."""
    return (
        parameters.map(lambda v: None if v is None or v is pd.NA or v != v else str(v))
        if parameters.dtype == object
        else parameters.astype("str")
    )
