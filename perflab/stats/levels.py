"""The level at which a difference counts: 5 %, or what registered looks leave of it."""

from __future__ import annotations

from dataclasses import dataclass

from perflab.data.tables import Measurements
from perflab.stats import sequential
from perflab.stats.arms import Design
from perflab.stats.verdicts import ALPHA


@dataclass(frozen=True)
class Level:
    """``alpha`` is what a p-value must be below; ``note`` says why it is not 5 %, and is empty when it is."""

    alpha: float
    note: str = ""


def level_of(baseline: Measurements, candidate: Measurements, design: Design) -> Level:
    """The level for an experiment with this many complete pairs, by the looks that its runs carry.

    An experiment that could have stopped earlier has spent some of its 5 % already.
    """
    if not design.paired:
        return Level(ALPHA)
    look = sequential.level(baseline.runs, candidate.runs, len(design.baseline), ALPHA)
    return Level(look.level, look.sentence) if look else Level(ALPHA)
