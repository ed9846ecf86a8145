"""How sure an N+1 is: the evidence levels and the rules that lead to them."""

from __future__ import annotations

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


def level(
    *,
    shape: Shape,
    parent: bool,
    linked: int,
    calls: npt.NDArray[np.int64],
    parent_rows: npt.NDArray[np.float64],
    variety: Variety,
    grown: Scaling,
    bounded: Scaling,
    interrupted: bool,
) -> str:
    """One of `LEVELS`, from what is known of a pattern in all its units."""
    if shape.kind == "write":
        return "write loop"
    if _repeats_itself(variety, linked):
        return "duplicate"
    matched = parent and bool(np.mean(parent_rows == calls) >= 0.5)
    if grown.tested:
        return _tested(grown, calls, parent, linked)
    if variety.same_everywhere and len(calls) >= 3 and len(np.unique(calls)) == 1 and not matched and linked < 3:
        return "constant fan-out"
    if not parent:
        return "loop without parent"
    if not (linked >= 3 or matched) and (np.isnan(variety.distinct) or interrupted or bounded.tested):
        return "loop without parent"  # the names say little, and so do the values, or the LIMIT speaks against it
    spread = len(calls) >= MIN_UNITS and len(np.unique(calls)) >= MIN_SIZES
    unknown = bool(np.isnan(parent_rows).all())
    return "confirmed" if unknown and spread and linked >= 3 else "likely"


def _repeats_itself(variety: Variety, linked: int) -> bool:
    """The same question again and again, which a cache or a variable would answer."""
    if np.isnan(variety.distinct):
        return False
    if variety.keys == 1:
        return True
    return variety.distinct < LEAST_DISTINCT and not (linked >= 3 and variety.keys >= 2)


def _tested(grown: Scaling, calls: npt.NDArray[np.int64], parent: bool, linked: int) -> str:
    if grown.low > 0 and grown.p_value <= 0.05 and grown.high >= FLAT:
        return "confirmed"
    if grown.high < FLAT or len(np.unique(calls)) == 1:
        return "constant fan-out"
    return "likely" if linked >= 3 else "loop without parent"
