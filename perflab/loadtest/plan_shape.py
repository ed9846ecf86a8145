"""The plan's stages as Locust's shape: the number of users at any time. Runs inside Locust's processes."""

from __future__ import annotations

from typing import Any

import gevent
from locust import LoadTestShape


class PlanShape(LoadTestShape):
    """The plan's stages as users over time; Locust asks once a second. An open plan has one scheduler per worker."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.stages, self.schedulers = settings["stages"], settings["workers"] if settings["arrivals"] else 0
        self.length_s = sum(stage["duration_s"] for stage in self.stages)
        self._last: tuple[int, float] | None = None

    def tick(self) -> tuple[int, float] | None:
        """(users, spawn rate) now, None when the plan is over.

        Locust asks again only after a second, so an earlier end of the plan is awaited here.
        """
        elapsed = self.get_run_time()
        wanted, left = self._wanted(elapsed), self.length_s - elapsed
        if wanted is not None and wanted == self._last and left < 1.0:
            gevent.sleep(max(0.0, left))
            return None
        self._last = wanted
        return wanted

    def _wanted(self, elapsed: float) -> tuple[int, float] | None:
        # Within 20 ms of the end counts as the end.
        if elapsed >= self.length_s - 0.02:
            return None
        if self.schedulers:
            return self.schedulers, 100.0
        before = 0
        for stage in self.stages:
            length, users = stage["duration_s"], stage["users"]
            if elapsed < length - 0.02:
                if stage["ramp"]:
                    # A spawn rate that never limits the ramp: Locust's start blocks until the users exist.
                    return round(before + (users - before) * elapsed / length), float(max(100, users, before))
                return users, float(stage["spawn_rate"] or max(users, before, 1))
            elapsed, before = elapsed - length, users
        return None
