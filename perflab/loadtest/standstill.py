"""Inside Locust: how late its loop wakes, a hundred times a second. What keeps it from running keeps every user from it."""

from __future__ import annotations

import time
from typing import Any

import gevent

from perflab.loadtest.records import TICK_S

LATE_S = 0.004
"""A wake-up this late counts as a standstill; below it is the usual jitter of a loop at work."""
_BINS_MS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048)


class Ticker:
    """Counts how late it wakes; `take` gives what was counted since the last time."""

    def __init__(self) -> None:
        self.now = time.time()
        """The wall clock at the last tick."""
        self._reset()

    def _reset(self) -> None:
        self._ticks, self._late_s, self._worst_s = 0, 0.0, 0.0
        self._bins = [0.0] * (len(_BINS_MS) + 1)

    def run(self) -> None:
        """Tick until the process ends."""
        before = time.monotonic()
        while True:
            gevent.sleep(TICK_S)
            now = time.monotonic()
            self._count(now - before - TICK_S)
            before, self.now = now, time.time()

    def _count(self, late_s: float) -> None:
        self._ticks += 1
        self._worst_s = max(self._worst_s, late_s)
        if late_s >= LATE_S:
            self._late_s += late_s
            self._bins[sum(late_s * 1e3 >= edge for edge in _BINS_MS)] += late_s

    def take(self) -> dict[str, Any]:
        """Ticks, seconds late in all and at worst, and the seconds late by how late (a histogram over `edges`)."""
        found = {"ticks": self._ticks, "late_s": round(self._late_s, 4), "worst_s": round(self._worst_s, 4)}
        bins = {str(i): round(s, 4) for i, s in enumerate(self._bins) if s}
        self._reset()
        return {**found, "bins": bins} if bins else found
