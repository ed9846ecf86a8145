"""The due times of an open plan's arrivals; standard library only."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any


def due_times(stages: Sequence[dict[str, Any]], *, poisson: bool, seed: int | None) -> Iterator[float]:
    """Seconds after the start at which arrivals are due.

    The expected number of arrivals by a time is piecewise quadratic. Its inverse at 1/2, 3/2, ... gives evenly spaced
    arrivals; at the points of a unit-rate Poisson process, a Poisson process of that rate (time rescaling).
    """
    draw = random.Random(seed)
    target = draw.expovariate(1.0) if poisson else 0.5
    before_s, before_count, rate = 0.0, 0.0, 0.0
    for stage in stages:
        length, to = stage["duration_s"], float(stage["rate"])
        begin = rate if stage["ramp"] else to
        count = (begin + to) / 2 * length
        while target < before_count + count:
            yield before_s + _inverse(target - before_count, begin, to, length)
            target += draw.expovariate(1.0) if poisson else 1.0
        before_s, before_count, rate = before_s + length, before_count + count, to


def _inverse(count: float, begin: float, to: float, length: float) -> float:
    """When ``count`` arrivals are due in a stage whose rate changes from ``begin`` to ``to``."""
    slope = (to - begin) / length
    if abs(slope) * length < 1e-9:
        return count / begin
    return float((-begin + (begin * begin + 2 * slope * count) ** 0.5) / slope)
