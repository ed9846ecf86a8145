"""Inside Locust: users that leave during the load, and the end of the plan's time, after which none sends a request.

After the last stage Locust lets every task finish, however often it pauses and sends again. Here a request in flight may
finish, and a user without one is stopped at once (its on_stop runs as always). Users of clients other than HttpUser and
FastHttpUser are left to Locust, since their requests in flight cannot be observed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent import GreenletExit, getcurrent
from locust import HttpUser, TaskSet, User
from locust.contrib.fasthttp import FastHttpUser
from locust.exception import StopUser
from locust.rpc import Message
from locust.runners import STATE_MISSING
from locust.user.task import DefaultTaskSet

from perflab.loadtest.flight import Flight
from perflab.loadtest.journal import described

_EACH_S = 0.05
_PATIENCE_S = 10.0


class Ending:
    """Tracks which users end, and ends those that remain."""

    def __init__(self, flight: Flight, note: Callable[[str], None]) -> None:
        self._flight, self._note = flight, note
        self.over, self.tasks = False, 0
        self._ended: set[Any] = set()
        self._killed: set[Any] = set()
        self.spawners: set[Any] = set()
        """The greenlets that spawn users."""
        self.others: set[str] = set()
        """Classes of other clients that still had users in a task after the end."""

    def watch(self) -> None:
        """Follow users, their tasks and their end from now on."""
        self._flight.may_send = self._may_send
        for taskset in (TaskSet, DefaultTaskSet):
            taskset.execute_task = self._counted(taskset.execute_task)  # type: ignore[method-assign]
        started, stopped = User.start, User.stop

        def start(user: Any, group: Any) -> Any:
            self.spawners.add(getcurrent())
            greenlet = started(user, group)
            greenlet.link(lambda ended: self._left(user, ended))
            return greenlet

        def stop(user: Any, force: bool = False) -> Any:
            user.perflab_stopped = True
            return stopped(user, force)

        User.start, User.stop = start, stop  # type: ignore[assignment, method-assign]

    def _left(self, user: Any, greenlet: Any) -> None:
        """Note that a user's greenlet ended, unless Locust stopped it or the load is over."""
        if self.over or getattr(user, "perflab_stopped", False):
            return
        problem = greenlet.exception
        self._note(described(problem) if problem else f"{type(user).__name__} stopped itself (StopUser)")

    def _may_send(self, user: Any) -> None:
        if not self.over or user is None or user._greenlet is not getcurrent():
            return
        # Outside a task it is on_stop; the first request of an arrival was due before the end.
        facts = user.__dict__
        if not facts.get("perflab_depth") or facts.get("perflab_due") is not None or _in_on_stop(sys._getframe()):
            return
        if user in self._ended:
            # The task caught the exception: let others run, in case it is a loop.
            gevent.sleep(_EACH_S)
            raise GreenletExit
        self._ended.add(user)
        raise StopUser

    def end(self, users: Callable[[], Iterable[tuple[Any, Any]]]) -> None:
        """The plan's time is over: stop users without a request in flight until none is left."""
        self.over = self._flight.over = True
        gevent.spawn(self._end, users)

    def _end(self, users: Callable[[], Iterable[tuple[Any, Any]]]) -> None:
        while True:
            # Listeners of the end run first, and so does Locust, which stops waiting users.
            gevent.sleep(_EACH_S)
            left = [(user, greenlet) for user, greenlet in users() if not greenlet.dead]
            self.others = {
                type(user).__name__
                for user, _ in left
                if user.__dict__.get("perflab_depth") and not isinstance(user, (HttpUser, FastHttpUser))
            }
            for user, greenlet in left:
                facts = user.__dict__
                idle = facts.get("perflab_depth") and facts.get("perflab_due") is None and not self._flight.of(user)
                known = user in self._ended or user in self._killed
                ours = isinstance(user, (HttpUser, FastHttpUser))
                if idle and not known and ours and not _in_on_stop(greenlet.gr_frame):
                    # If the user wakes before it is killed, `_may_send` ends it.
                    self._killed.add(user)
                    greenlet.kill(block=False)

    def _counted(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap task execution to record whether a user is in a task."""

        def execute_task(taskset: Any, task: Any) -> None:
            facts = taskset.user.__dict__
            facts["perflab_depth"] = facts.get("perflab_depth", 0) + 1
            self.tasks += 1
            try:
                execute(taskset, task)
            finally:
                facts["perflab_depth"] -= 1

        return execute_task


def _in_on_stop(frame: Any) -> bool:
    """Whether an ``on_stop`` of a user or of one of its TaskSets is being called: those of TaskSets run within a task."""
    while frame is not None:
        if frame.f_code.co_name == "on_stop" and isinstance(frame.f_locals.get("self"), (TaskSet, User)):
            return True
        frame = frame.f_back
    return False


def wait_for_workers(runner: Any, stop_timeout_s: float) -> None:
    """Make the master wait for its workers before it quits: Locust waits half a second, then counts without the rest.

    A worker reports after its last request has ended, which may take as long as the stop timeout.
    """
    quit_at_once = runner.quit

    def quit_after_workers() -> None:
        runner.stop(send_stop_to_client=False)
        for client in list(runner.clients.all):
            runner.server.send_to_client(Message("quit", None, client.id))
        waited_s = 0.0
        while waited_s < stop_timeout_s + _PATIENCE_S and any(c.state != STATE_MISSING for c in runner.clients.all):
            gevent.sleep(_EACH_S)
            waited_s += _EACH_S
        quit_at_once()

    runner.quit = quit_after_workers
