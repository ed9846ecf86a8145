"""Runs that are copies of one another: in two arms they compare nothing, in one they are no repetitions."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np

from perflab.stats.arms import SAME, Design
from perflab.stats.estimates import Floats, Requests

_BITS = 64.0
"""Two runs whose requests agree by a chance of less than 1 in 2**64 are one run."""
_NAMED = 3
_NOTHING = "both arms hold the same runs: nothing was compared"

Place = tuple[int, str]
"""The arm (0 or 1) and the run's name."""


def without_copies(found: Design, requests: tuple[Requests, Requests]) -> Design:
    """The design, with its obstacle where some of the runs that count hold the same requests."""
    why = _obstacle(_copies(found, requests), found)
    # Of an arm against itself no number means anything, not even "0 % (0 to 0)".
    kind = SAME if why == _NOTHING else found.kind
    return replace(found, obstacle=why, kind=kind) if why else found


def _obstacle(same: list[tuple[Place, Place]], found: Design) -> str:
    across = [(a[1], b[1]) for a, b in same if a[0] != b[0]]
    if across:
        sides = {a for a, _ in across}, {b for _, b in across}
        if sides == (set(found.baseline), set(found.candidate)):
            return _NOTHING
        count = min(map(len, sides))
        return (
            f"{count} run{'s' if count > 1 else ''} stand{'' if count > 1 else 's'} in both arms ({_listed(across)}): what "
            "is compared with itself says nothing; leave such runs out of one arm"
        )
    if same:
        arm = ("baseline", "candidate")[same[0][0][0]]
        inside = [(a[1], b[1]) for a, b in same if a[0] == same[0][0][0]]
        return (
            f"some runs of the {arm} hold the same requests ({_listed(inside)}): a copy of a run is no repetition; "
            "leave the copies out"
        )
    return ""


def _listed(same: list[tuple[str, str]]) -> str:
    words = [first if first == second else f"{first} is {second}" for first, second in same]
    return ", ".join(words[:_NAMED]) + (f" and {len(words) - _NAMED} more" if len(words) > _NAMED else "")


def _copies(found: Design, requests: tuple[Requests, Requests]) -> list[tuple[Place, Place]]:
    """Pairs of runs with the same requests; the dear comparison only where count and slowest request agree."""
    groups: dict[tuple[int, float], list[Place]] = {}
    for arm, (side, names) in enumerate(zip(requests, (found.baseline, found.candidate), strict=True)):
        counts = np.bincount(side.run, minlength=len(side.runs))
        slowest = np.zeros(len(side.runs))
        np.maximum.at(slowest, side.run, side.latency)
        for name in names:
            if name in side.runs:
                code = side.runs.index(name)
                groups.setdefault((int(counts[code]), float(slowest[code])), []).append((arm, name))
    found_copies = []
    for group in groups.values():
        if len(group) > 1:
            held = {place: _sequence(requests[place[0]], place[1]) for place in group}
            found_copies += [(a, b) for a, b in combinations(group, 2) if _same(held[a], held[b], named=a[1] == b[1])]
    return found_copies


def _sequence(side: Requests, run: str) -> tuple[Floats, Floats]:
    """When the requests of a run started, as shares of its time, and how long they took; in one order."""
    rows = np.flatnonzero(side.run == side.runs.index(run))
    order = rows[np.lexsort([side.latency[rows], side.age[rows]])]
    return side.age[order], side.latency[order]


def _same(first: tuple[Floats, Floats], second: tuple[Floats, Floats], *, named: bool) -> bool:
    if not np.array_equal(first[1], second[1]):
        return False
    # A coarse clock can write the same few latencies into every run: then the name and the times must agree too.
    return _bits(first[1]) >= _BITS or (named and np.array_equal(first[0], second[0]))


def _bits(latency: Floats) -> float:
    """How unlikely it is that another run has these latencies in this order: minus the binary logarithm."""
    shares = np.unique(latency, return_counts=True)[1] / len(latency)
    return -len(latency) * math.log2(float((shares**2).sum()))
