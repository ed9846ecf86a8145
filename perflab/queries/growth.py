"""What a child's calls are held against: the rows of its parent, its LIMIT, or how often a nested parent ran."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries.repeats import Repeats, repeats
from perflab.queries.scaling import Scaling, scaling
from perflab.queries.statements import statements

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROWS, LIMIT, TIMES = "Rows of the parent", "Rows that the parent's LIMIT allows", "How often the parent ran"


@dataclass(frozen=True, eq=False)
class Growth:
    """Sizes of the parent and calls of the child, one of each for a unit; what the size is; and the fit, which has the final
    say only where it is ``sure``: a LIMIT can speak for growth, never against it."""

    sizes: Floats
    calls: Floats
    measure: str
    scaling: Scaling

    @property
    def speaks(self) -> bool:
        return self.measure == ROWS or (self.scaling.tested and self.scaling.low > 0)


def growth(found: Repeats, parent: int, child: int, route: str, members: Ints) -> Growth:
    """The best measure of the parent's size that the log has, and the calls over it.

    ``members`` are the groups that the pattern was made of; units in which the child repeats itself otherwise are left out.
    """
    asked = found.asked(parent, child, route, members)
    sizes, calls = found.sizes(asked, child)
    known = np.isfinite(sizes)
    if known.any():
        return Growth(sizes[known], calls[known], ROWS, scaling(sizes, calls))
    limits, calls_of = found.limits(asked, child)
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
        times, calls_then = found.times_asked(asked, child)
        nested = scaling(times, calls_then)
        if nested.tested:
            return Growth(times, calls_then, TIMES, nested)
    return Growth(limits[full], calls_of[full], LIMIT, fitted)


def _full(limits: Floats, calls: Floats) -> npt.NDArray[np.bool_]:
    """Without the units whose list was shorter than its LIMIT, where most were full."""
    known = np.isfinite(limits)
    full = known & (calls == limits)
    return full if full.sum() * 2 >= known.sum() and bool((calls <= limits)[known].all()) else known


def growth_of(
    queries: pd.DataFrame | Measurements, pattern: pd.Series[object], threshold: int, *, dialect: str | None = None
) -> Growth | None:
    """The growth of a row of `find_n_plus_one`; None where it has no parent."""
    if not isinstance(pattern["parent"], str):
        return None
    found = repeats(statements(queries, dialect=dialect), threshold)
    texts = found.prepared.fingerprints
    route = pattern["route"] if isinstance(pattern["route"], str) else ""
    mine = found.repeated[[texts[code] == pattern["child"] for code in found.groups.fp[found.repeated]]]
    child = int(found.groups.fp[mine[0]])
    members = mine[found.same_question(mine) == (pattern["evidence"] == "duplicate")]
    return growth(found, texts.index(pattern["parent"]), child, route, members if len(members) else mine)
