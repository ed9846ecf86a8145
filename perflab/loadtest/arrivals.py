"""The open model inside Locust: arrivals at due times, however slow the target is; standard library and Locust only.

A closed model waits for each response before it sends again, so a stalled server also stalls its users, and the
requests that would have waited are never sent (coordinated omission). Here one scheduler owns the due times, each
arrival is a task in its own greenlet, latency counts from the due time, and no arrival is dropped.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import gevent
from gevent import getcurrent
from gevent.pool import Group
from locust import User, events
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, DefaultTaskSet, filter_tasks_by_tags

from perflab.loadtest.due import due_times
from perflab.loadtest.sleeping import sleeper

_ENDS = (StopUser, InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)
"""Exceptions by which a user ends its task."""
_WAKE_S = 0.05
_LAST_S = 2.0
"""Locust ends a run to the second and a worker starts a little after the master, so arrivals of the last moments count."""
_LEAD_S, _SHORT_LEAD_S, _SPIN_SHARE = 0.001, 0.0005, 0.05
"""An arrival is prepared so much before it is due, and then waits without sleeping; once that took this share of the time,
the lead is the shorter one, which is about what the preparation takes."""


class Pace:
    """The scheduler's counters: arrivals due, started, in progress and failed."""

    def __init__(self) -> None:
        self.due = self.begun = self.busy = self.failed = 0
        self.active: dict[Any, Any] = {}
        """User -> the greenlet of its arrival."""


def _must_end(classes: Sequence[Any]) -> None:
    """Exit Locust with the reason if a class has a TaskSet: those never end, but an arrival must."""
    nested = [f"{c.__name__}.{t.__name__}" for c in classes for t in c.tasks if isinstance(t, type)]
    if nested:
        raise SystemExit(
            f"perflab: each arrival of an open plan is one task, and {', '.join(nested)} is a TaskSet, which never "
            "ends: write its steps as one @task method, or use a plan with users"
        )


def arrivals_class(classes: Sequence[Any], settings: dict[str, Any], pace: Pace) -> type[Any]:
    """A user class that makes all arrivals with one instance per worker, as tasks of the given classes."""
    _must_end(classes)
    stages, share = settings["stages"], [max(0.0, float(c.weight)) for c in classes]
    whole_s = sum(stage["duration_s"] for stage in stages)

    class Arrivals(User):
        # Locust warns about a class without tasks; the scheduler makes these, not Locust's own loop.
        tasks = [lambda _: None]  # noqa: RUF012 - Locust requires a list

        def run(self) -> None:  # type: ignore[misc]
            self._prepare()
            self._state = LOCUST_STATE_RUNNING
            self.idle: dict[Any, list[Any]] = {c: [] for c in classes}
            # The first user of a class takes some 30 ms to make (TLS): not at the expense of the first arrival.
            self.fresh = {c: [c(self.environment)] for c in classes}
            self.running = Group()
            runner = self.environment.runner
            index, workers = getattr(runner, "worker_index", 0), max(1, int(settings["workers"]))
            begin, mono = time.time(), time.monotonic()
            times = due_times(stages, poisson=settings["arrivals"] == "poisson", seed=settings["seed"])
            sleep_until, self.spun_s = sleeper(), 0.0
            for number, due_s in enumerate(times):
                if number % workers != index % workers:
                    continue
                lead_s = _LEAD_S if self.spun_s <= _SPIN_SHARE * due_s else _SHORT_LEAD_S
                while (now := time.monotonic()) < mono + due_s - lead_s:
                    sleep_until(min(mono + due_s - lead_s, now + _WAKE_S))
                    if self._cut_short(mono):
                        break
                if self._cut_short(mono):
                    break
                pace.due += 1
                self.running.start(gevent.Greenlet(self._arrive, begin + due_s))
            while self._state != LOCUST_STATE_STOPPING:
                gevent.sleep(_WAKE_S)
            self.running.join()
            for users in self.idle.values():
                for user in users:
                    user.on_stop()

        def _cut_short(self, began: float) -> bool:
            """Whether the run was stopped early. At its regular end, due arrivals are still made: none is dropped."""
            return bool(self._state == LOCUST_STATE_STOPPING and time.monotonic() - began < whole_s - _LAST_S)

        def _prepare(self) -> None:
            """Prepare the classes as Locust does for those that it runs itself."""
            options = self.environment.parsed_options
            for chosen in classes:
                chosen.host = self.environment.host or chosen.host
                if options.tags or options.exclude_tags:
                    filter_tasks_by_tags(
                        chosen, set(options.tags or ()) or None, set(options.exclude_tags or ()) or None
                    )

        def _arrive(self, due: float) -> None:
            pace.begun += 1
            pace.busy += 1
            user = None
            try:
                chosen = random.choices(classes, share)[0]
                user, login_s = (self.idle[chosen].pop(), 0.0) if self.idle[chosen] else self._new(chosen)
                user._greenlet = pace.active[user] = getcurrent()
                user.perflab_due = due + login_s
                taskset = user.perflab_tasks
                self._spin(due)
                taskset.execute_task(taskset.get_next_task())
                self.idle[chosen].append(user)
            except Exception as problem:  # noqa: BLE001 - a user's task may raise anything; Locust continues too
                # Raised before the first request: this arrival never reached the target.
                failed = user is None or user.perflab_due is not None
                pace.failed += failed
                if failed or not isinstance(problem, _ENDS):
                    events.user_error.fire(user_instance=self, exception=problem, tb=problem.__traceback__)
            finally:
                pace.busy -= 1
                pace.active.pop(user, None)

        def _spin(self, due: float) -> None:
            early_s = due - time.time()
            if 0 < early_s <= _LEAD_S:
                self.spun_s += early_s
                while time.time() < due:
                    pass

        def _new(self, chosen: Any) -> tuple[Any, float]:
            """A new user, and the seconds of its on_start (a login), which count towards no request's latency."""
            user = self.fresh[chosen].pop() if self.fresh[chosen] else chosen(self.environment)
            user._state = LOCUST_STATE_RUNNING
            user._group = self.running
            user.perflab_due, user.perflab_tasks = None, DefaultTaskSet(user)
            before = time.monotonic()
            user.on_start()
            login_s = time.monotonic() - before if chosen.on_start is not User.on_start else 0.0
            own = user.context

            def context() -> dict[str, Any]:
                """The due time applies to the first request of the task; later ones count from their own start."""
                due, user.perflab_due = user.perflab_due, None
                return own() if due is None else {**own(), "perflab_due": due}

            user.context = context
            return user, login_s

    return Arrivals
