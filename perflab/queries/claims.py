"""How sure an N+1 is: the evidence levels and the rules that lead to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perflab.queries.groups import LEAST_DISTINCT
from perflab.queries.parents import HOLDS
from perflab.queries.scaling import MIN_SIZES, MIN_UNITS, Scaling
from perflab.queries.shape import Shape

CONFIRMED, LIKELY, POSSIBLE = "confirmed", "likely", "possible"
WRITE_LOOP, DUPLICATE, NO_PARENT, CONSTANT = "write loop", "duplicate", "loop without parent", "constant fan-out"
LEVELS = (CONFIRMED, LIKELY, WRITE_LOOP, DUPLICATE, NO_PARENT, CONSTANT, POSSIBLE)
CLAIMS = (CONFIRMED, LIKELY)
FIXABLE = (CONFIRMED, LIKELY, DUPLICATE, WRITE_LOOP, NO_PARENT)
FLAT = 0.1
"""A slope whose whole interval lies below this (calls for each parent row) is no growth."""

STEEP = 0.5
"""What a slope must reach where names link nothing: pages that happen to differ in both make a gentle one."""


@dataclass(frozen=True)
class Variety:
    """How a child's values differ: ``distinct`` of the calls (a share, NaN when the values were not recorded), the most different
    values of its keys in one unit, whether all units asked for the very same, and whether a key moves (not only a range)."""

    distinct: float
    keys: int
    same_everywhere: bool
    key_moves: bool


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a pattern in all its units.

    ``linked``: how clearly names link the child to its parent (`links.link`). ``own_row``: it reads the parent's row again;
    ``own_value``: each unit asks for one value, which is the request's, not a row's. ``calls`` and ``parent_rows`` by unit (NaN
    where the log has no rows). ``grown``: calls over the parent's rows; ``filled``: there are as many calls as its LIMIT allows
    rows, whatever that is; ``bounded``: calls were compared with its LIMIT, and do not follow it. ``by_own_key``: each call
    reads one row, by its own key. ``opaque``: the parent's columns are not known. ``once``: the parent runs once a unit.
    ``interrupted``: writes or savepoints stand between the calls; ``written``: writes to the child's own tables do.
    ``everywhere``: most units run the parent, and few of them the child. ``sure``: the units of work are not guessed.
    """

    shape: Shape
    parent: bool
    linked: int
    own_row: bool
    own_value: bool
    calls: npt.NDArray[np.int64]
    parent_rows: npt.NDArray[np.float64]
    variety: Variety
    grown: Scaling
    filled: bool
    bounded: bool
    by_own_key: bool
    opaque: bool
    once: bool
    interrupted: bool
    written: bool
    everywhere: bool
    sure: bool

    @property
    def matched(self) -> bool:
        """In most units there were as many calls as the parent had rows, and not by chance: seven days beside seven rows."""
        chance = not self.variety.key_moves and len(self.calls) >= MIN_SIZES and len(np.unique(self.calls)) == 1
        return self.parent and not chance and (self.filled or bool(np.mean(self.parent_rows == self.calls) >= 0.5))

    @property
    def grows(self) -> bool:
        """The calls were shown to grow with the parent's rows."""
        fit = self.grown
        if not (fit.tested and fit.low > 0 and fit.p_value <= 0.05):
            return False
        return fit.high >= (FLAT if self.linked > 0 and self.shape.keys else STEEP)

    @property
    def repeats_itself(self) -> bool:
        """The calls ask for few different values, which a cache or a variable would answer."""
        few = self.variety.distinct < LEAST_DISTINCT
        return few and (self.own_value or not (self.linked >= HOLDS and self.variety.keys >= 2))

    @property
    def follows_rows(self) -> bool:
        """The calls follow the parent's rows, whatever their values: rows that share few values."""
        if not self.parent or self.own_value or self.linked < (1 if self.variety.keys >= 2 else 2):
            return False
        grows = self.grows and self.grown.high >= STEEP
        held = self.linked >= (2 if self.variety.keys >= 2 else HOLDS) and self.shape.single_row
        return grows or self.matched or held

    @property
    def turns_pages(self) -> bool:
        """The keys stand still and something else moves: an open end of a range, or an OFFSET, where the next page starts.

        But for each row of a list that is no page (the tariff from this weight on): how many pages there are has nothing to
        do with a list's rows.
        """
        moves = self.variety.keys == 1 and self.variety.distinct >= LEAST_DISTINCT
        return (self.shape.pages or moves) and not (self.grown.tested and self.grown.low >= STEEP)

    @property
    def varies(self) -> bool:
        """Enough units with different numbers of calls."""
        return len(self.calls) >= MIN_UNITS and len(np.unique(self.calls)) >= MIN_SIZES


def level(facts: Facts) -> str:
    """One of `LEVELS`; what would be a claim, or a duplicate, is only "possible" where the units of work are guessed."""
    found = _level(facts)
    return POSSIBLE if found in (*CLAIMS, DUPLICATE) and not facts.sure else found


def _level(facts: Facts) -> str:
    if facts.shape.kind == "write":
        return WRITE_LOOP
    if facts.turns_pages or (facts.written and facts.linked < HOLDS and not _read_to_be_written(facts)):
        return NO_PARENT
    if facts.repeats_itself and not facts.follows_rows:
        return DUPLICATE
    if facts.grown.tested:
        return _tested(facts)
    return _untested(facts)


def _read_to_be_written(facts: Facts) -> bool:
    """Whether each call reads a row that is then written, and no check of whether there is one."""
    return facts.own_row or (facts.by_own_key and (facts.matched or facts.grows))


def _tested(facts: Facts) -> str:
    if facts.grows:
        return CONFIRMED
    if facts.grown.high < FLAT or len(np.unique(facts.calls)) == 1:
        return CONSTANT
    return LIKELY if facts.linked >= HOLDS else NO_PARENT


def _untested(facts: Facts) -> str:
    fixed = facts.variety.same_everywhere and len(facts.calls) >= 3 and len(np.unique(facts.calls)) == 1
    if fixed and not facts.matched and facts.linked < HOLDS:
        return CONSTANT
    if not facts.parent or (facts.linked < HOLDS and not facts.matched and _doubtful(facts)):
        return NO_PARENT
    return LIKELY


def _doubtful(facts: Facts) -> bool:
    """Names say too little, and so do the values, or something speaks against the parent."""
    unknown = bool(np.isnan(facts.variety.distinct)) or facts.opaque
    again = facts.own_row and facts.written  # as a row is before it is written
    nothing = (facts.linked <= 0 and not again) or (unknown and not (facts.varies and facts.once))
    against = (
        (facts.interrupted and not facts.own_row)
        or facts.everywhere
        or facts.bounded
        or _unmoved(facts.parent_rows, facts.calls)
    )
    return nothing or against


def _unmoved(parent_rows: npt.NDArray[np.float64], calls: npt.NDArray[np.int64]) -> bool:
    """The parent always returned the same number of rows, and the calls varied all the same."""
    known = np.isfinite(parent_rows)
    enough = int(known.sum()) >= MIN_UNITS and len(np.unique(calls[known])) >= MIN_SIZES
    return enough and len(np.unique(parent_rows[known])) == 1
