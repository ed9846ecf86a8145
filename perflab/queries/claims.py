"""How sure an N+1 is: the evidence levels and the rules that lead to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perflab.queries.repeats import LEAST_DISTINCT, Variety
from perflab.queries.scaling import MIN_SIZES, MIN_UNITS, Scaling
from perflab.queries.shape import Shape

LEVELS = ("confirmed", "likely", "write loop", "duplicate", "loop without parent", "constant fan-out")
CLAIMS = ("confirmed", "likely")
MENDABLE = ("confirmed", "likely", "duplicate", "write loop", "loop without parent")
FLAT = 0.1
"""A slope whose whole interval lies below this (calls for each parent row) is no growth."""


STEEP = 0.5
"""What a slope must reach where names tie nothing together: pages that happen to differ in both make a gentle one."""


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a pattern in all its units.

    ``linked``: how clearly names tie the child to its parent (`shape.link`). ``calls`` and ``parent_rows`` by unit (NaN
    where the log has no rows). ``grown``: calls over the parent's rows; ``bounded``: calls were held against its
    LIMIT. ``interrupted``: writes or savepoints stand between the calls. ``everywhere``: most units ask the parent, and few of
    them the child. ``sure``: the units of work are not guessed at.
    """

    shape: Shape
    parent: bool
    linked: int
    calls: npt.NDArray[np.int64]
    parent_rows: npt.NDArray[np.float64]
    variety: Variety
    grown: Scaling
    bounded: bool
    interrupted: bool
    everywhere: bool
    sure: bool

    @property
    def matched(self) -> bool:
        """In most units there were as many calls as the parent had rows."""
        return self.parent and bool(np.mean(self.parent_rows == self.calls) >= 0.5)


def level(facts: Facts) -> str:
    """One of `LEVELS`; nothing is confirmed where the units of work are only guessed at."""
    found = _level(facts)
    return "likely" if found == "confirmed" and not facts.sure else found


def _level(facts: Facts) -> str:
    calls, linked, grown, variety = facts.calls, facts.linked, facts.grown, facts.variety
    if facts.shape.kind == "write":
        return "write loop"
    if turns_pages(facts):
        return "loop without parent"
    if _repeats_itself(variety, linked):
        return "duplicate"
    if grown.tested:
        return _tested(grown, calls, linked)
    fixed = variety.same_everywhere and len(calls) >= 3 and len(np.unique(calls)) == 1
    if fixed and not facts.matched and linked < 3:
        return "constant fan-out"
    if not facts.parent or (linked < 3 and not facts.matched and _doubtful(facts)):
        return "loop without parent"
    spread = len(calls) >= MIN_UNITS and len(np.unique(calls)) >= MIN_SIZES
    unknown = bool(np.isnan(facts.parent_rows).all())
    return "confirmed" if unknown and spread and linked >= 3 else "likely"


def _doubtful(facts: Facts) -> bool:
    """Names say too little, and so do the values, or something speaks against the parent."""
    nothing = facts.linked <= 0 or bool(np.isnan(facts.variety.distinct))
    against = facts.interrupted or facts.everywhere or facts.bounded or _unmoved(facts.parent_rows, facts.calls)
    return nothing or against


def turns_pages(facts: Facts) -> bool:
    """The keys stand still and something else moves: an open end of a range, from which on the next page is asked.

    But for each row of a list that is no page (the tariff from this weight on): how many pages there are has nothing to do
    with a list's rows.
    """
    moves = facts.variety.keys == 1 and facts.variety.distinct >= LEAST_DISTINCT
    return moves and not (facts.grown.tested and facts.grown.low >= STEEP)


def _repeats_itself(variety: Variety, linked: int) -> bool:
    """The same question again and again, which a cache or a variable would answer."""
    return variety.distinct < LEAST_DISTINCT and not (linked >= 3 and variety.keys >= 2)


def _unmoved(parent_rows: npt.NDArray[np.float64], calls: npt.NDArray[np.int64]) -> bool:
    """The parent always returned the same number of rows, and the calls varied all the same."""
    known = np.isfinite(parent_rows)
    enough = int(known.sum()) >= MIN_UNITS and len(np.unique(calls[known])) >= MIN_SIZES
    return enough and len(np.unique(parent_rows[known])) == 1


def _tested(grown: Scaling, calls: npt.NDArray[np.int64], linked: int) -> str:
    if grown.low > 0 and grown.p_value <= 0.05 and grown.high >= (FLAT if linked > 0 else STEEP):
        return "confirmed"
    if grown.high < FLAT or len(np.unique(calls)) == 1:
        return "constant fan-out"
    return "likely" if linked >= 3 else "loop without parent"
