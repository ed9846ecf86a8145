"""What a child's calls grow with: the rows of its parent, its LIMIT, or how often a nested parent ran."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from perflab.queries.groups import Groups
from perflab.queries.scaling import MIN_SIZES, Scaling, scaling
from perflab.queries.values import limit_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROWS, LIMIT, TIMES = "Rows of the parent", "Rows that the parent's LIMIT allows", "How often the parent ran"
_MOST_LIMITS, _FEWEST_FULL = 200, 4


@dataclass(frozen=True, eq=False)
class Growth:
    """Sizes of the parent and calls of the child, one of each for a unit; what the size is; and the fit. A LIMIT can speak
    for growth, never against it."""

    sizes: Floats
    calls: Floats
    measure: str
    scaling: Scaling

    @property
    def speaks(self) -> bool:
        return self.measure == ROWS or (self.scaling.tested and self.scaling.low > 0)

    @property
    def filled(self) -> bool:
        """In most units there are as many calls as the LIMIT allows, and it differs; of two sizes it must be all units."""
        full = self.calls == self.sizes
        sizes = len(np.unique(self.sizes[full]))
        known = sizes >= MIN_SIZES and bool(full.mean() >= 0.5)
        return self.measure == LIMIT and (known or (sizes == 2 and len(full) >= _FEWEST_FULL and bool(full.all())))

    @property
    def stands_still(self) -> bool:
        """There are always as many calls, though the sizes differ."""
        return len(np.unique(self.sizes)) >= MIN_SIZES and len(np.unique(self.calls)) == 1


def growth(groups: Groups, parent: int, members: Ints) -> Growth:
    """The best measure of the parent's size that the log has, and the calls over it.

    ``members`` are the groups that the pattern was made of; units in which the child repeats itself otherwise are left out.
    """
    asked = _asked(groups, parent, members)
    units, place = np.unique(groups.column("unit")[asked], return_inverse=True)
    calls = _calls(groups, members)[units]
    sizes = np.full(len(units), 0.0)
    np.add.at(sizes, place, groups.column("rows")[asked])
    known = np.isfinite(sizes)
    if known.any():
        return Growth(sizes[known], calls[known], ROWS, scaling(sizes, calls))
    limits, calls_of = _limits(groups, asked, members)
    full = _full(limits, calls_of)
    fitted = scaling(limits[full], calls_of[full])
    if not fitted.tested:
        # Full lists of two sizes make a slope; that the calls grow at all is tested on all lists.
        whole, two = scaling(limits, calls_of), scaling(limits[full], calls_of[full], sizes=2)
        if whole.tested and two.tested:
            fitted = replace(two, p_value=whole.p_value, units=whole.units)
        else:
            full, fitted = np.isfinite(limits), whole
    if not fitted.tested:
        times = np.zeros(len(units))
        np.add.at(times, place, groups.column("calls")[asked])
        if groups.shapes[parent].kind == "lookup" and (times > 1).any():
            nested = scaling(times, calls)
            if nested.tested:
                return Growth(times, calls, TIMES, nested)
    return Growth(limits[full], calls_of[full], LIMIT, fitted)


def _asked(groups: Groups, parent: int, members: Ints) -> Ints:
    """The groups of the parent in units of the route, but for those in which the child repeats itself otherwise.

    Where routes are not known, other pages may run the parent too, so the child must have run.
    """
    fp, unit, site, path = (groups.column(c) for c in ("fp", "unit", "site", "path"))
    one = members[0]
    child = (fp == fp[one]) & (site == site[one])
    asked = np.flatnonzero((fp == parent) & (path == path[one]))
    other = np.setdiff1d(np.flatnonzero(groups.column("repeated") & child), members, assume_unique=True)
    asked = asked[~np.isin(unit[asked], unit[other])]
    return asked if groups.column("route")[one] else asked[_calls(groups, members)[unit[asked]] > 0]


def _calls(groups: Groups, members: Ints) -> Floats:
    """Calls of the child, from its call site, in every unit."""
    fp, site = groups.column("fp"), groups.column("site")
    mine = (fp == fp[members[0]]) & (site == site[members[0]])
    calls = np.zeros(len(groups.prepared.units.names))
    calls[groups.column("unit")[mine]] = groups.column("calls")[mine]
    return calls


def _limits(groups: Groups, asked: Ints, members: Ints) -> tuple[Floats, Floats]:
    """The LIMIT of the parent, or the length of its IN list, which it may return at most, and the calls."""
    asked = asked[:: max(1, len(asked) // _MOST_LIMITS)]
    if not len(asked):
        return np.zeros(0), np.zeros(0)
    shape = groups.shapes[int(groups.column("fp")[asked[0]])]
    first = groups.column("first")[asked]
    rows = (groups.prepared.frame[column].array.take(first) for column in ("sql", "parameters"))
    sizes = [
        limit_of(sql, parameters, shape.limit_slot, shape.listed, groups.prepared.dialect)
        for sql, parameters in zip(*rows, strict=True)
    ]
    return np.array(sizes, dtype="float64"), _calls(groups, members)[groups.column("unit")[asked]]


def _full(limits: Floats, calls: Floats) -> npt.NDArray[np.bool_]:
    """Without the units whose list was shorter than its LIMIT, where most were full."""
    known = np.isfinite(limits)
    full = known & (calls == limits)
    return full if full.sum() * 2 >= known.sum() and bool((calls <= limits)[known].all()) else known
