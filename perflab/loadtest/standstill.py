"""Inside Locust: measures how late its event loop wakes, a hundred times a second, and which greenlets block it.

What blocks the loop blocks every user. A late wake-up shows how much time was lost, whatever the cause (a machine without
CPU to spare, many users at once); a greenlet that runs long without a switch shows that a call blocks.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import gevent
import greenlet
from gevent import get_hub

from perflab.loadtest.records import TICK_S

LATE_S = 0.004
"""A wake-up this late counts as a standstill; below it is the usual jitter of a working loop."""
HOLD_S = 0.005
"""A greenlet that runs this long without a switch blocks all others."""
_DAY_S = 86_400.0
_THREAD = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
_BINS_MS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048)


class Ticker:
    """Counts how late it wakes; `take` returns the counts since the last call."""

    def __init__(self) -> None:
        self._preempted = 0
        self._set(time.time())
        self._reset()

    def _set(self, now: float) -> None:
        """Set the limits outside which a start time is not wall-clock time."""
        self.day_before, self.day_after = now - _DAY_S, now + _DAY_S

    def _reset(self) -> None:
        self._ticks, self._late_s, self._worst_s = 0, 0.0, 0.0
        self._bins = [0.0] * (len(_BINS_MS) + 1)
        self._holds, self._held_s = 0, 0.0

    def watch_switches(self, besides: set[Any]) -> None:
        """Time each greenlet from switch to switch, unless switches are already traced.

        Left out are the hub, which waits, the greenlets ``besides`` (making a user is slow because of TLS, and is not a task),
        and greenlets that the kernel preempted.
        """
        if greenlet.gettrace() is not None:
            return
        hub, clock = get_hub(), time.perf_counter
        since = clock()

        def switched(_: str, pair: tuple[Any, Any]) -> None:
            nonlocal since
            now = clock()
            if (
                now - since > HOLD_S
                and pair[0] is not hub
                and pair[0] not in besides
                and _preempted() == self._preempted
            ):
                self._holds += 1
                self._held_s += now - since
            since = now

        greenlet.settrace(switched)

    def run(self) -> None:
        """Tick until the process ends."""
        before = time.monotonic()
        while True:
            gevent.sleep(TICK_S)
            now = time.monotonic()
            self._count(now - before - TICK_S)
            before, self._preempted = now, _preempted()
            self._set(time.time())

    def _count(self, late_s: float) -> None:
        self._ticks += 1
        self._worst_s = max(self._worst_s, late_s)
        if late_s >= LATE_S:
            self._late_s += late_s
            self._bins[sum(late_s * 1e3 >= edge for edge in _BINS_MS)] += late_s

    def take(self) -> dict[str, Any]:
        """Ticks, total and worst lateness in seconds, a histogram of the lateness, and the number and seconds of holds."""
        found: dict[str, Any] = {
            "ticks": self._ticks,
            "late_s": round(self._late_s, 4),
            "worst_s": round(self._worst_s, 4),
        }
        bins = {str(i): round(s, 4) for i, s in enumerate(self._bins) if s}
        if bins:
            found["bins"] = bins
        if self._holds:
            found |= {"holds": self._holds, "held_s": round(self._held_s, 4)}
        self._reset()
        return found


def _preempted() -> int:
    """How often this thread was preempted."""
    return resource.getrusage(_THREAD).ru_nivcsw
