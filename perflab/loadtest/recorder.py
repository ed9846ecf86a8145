"""The recorder inside Locust's processes: writes a record for each request and runs the plan's stages.

Installed by `launcher`; imports neither pandas nor pyarrow, so that the generator needs little CPU. Each process writes its
own files, opened when the runner exists, never at import (Locust may fork between the two).
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from locust import HttpUser, events
from locust.contrib.fasthttp import FastHttpUser
from locust.runners import STATE_INIT, STATE_RUNNING, STATE_SPAWNING, MasterRunner, WorkerRunner

from perflab.loadtest import header_recorder, overrides, remote
from perflab.loadtest.arrivals import Pace, arrivals_class
from perflab.loadtest.ending import Ending, wait_for_workers
from perflab.loadtest.flight import Flight
from perflab.loadtest.journal import Journal, described
from perflab.loadtest.plan_shape import PlanShape
from perflab.loadtest.records import CANNOT_WRITE, FLUSH_S, stem_of
from perflab.loadtest.request_ids import RequestIds
from perflab.loadtest.standstill import Ticker
from perflab.recorders import checks

logger = logging.getLogger("perflab")


def install(settings: dict[str, Any]) -> None:
    """Listen to Locust's events; call it once, before Locust's own main."""
    if settings.get("token"):
        remote.secure(settings["token"])

    @events.init.add_listener
    def on_init(environment: Any, runner: Any, **_: Any) -> None:
        folder = Path(settings["folder"])
        if settings.get("remote"):
            received, ahead_s = remote.ask(runner)
            _choose(environment, received["user_classes"])
            _begin(environment, runner, "remote", received, folder / stem_of(runner.client_id), ahead_s)
            return
        role = (
            "master" if isinstance(runner, MasterRunner) else "worker" if isinstance(runner, WorkerRunner) else "local"
        )
        if role == "master" and settings["remote_workers"]:
            remote.answer_questions(runner, settings)
            remote.receive_records(folder)
        _begin(environment, runner, role, settings, folder / f"{role}-{os.getpid()}", 0.0)


def _choose(environment: Any, names: list[str]) -> None:
    """Keep the user classes that the plan names; local workers get them from Locust's command line."""
    missing = set(names) - {user_class.__name__ for user_class in environment.user_classes}
    if missing:
        raise SystemExit(
            f"perflab: this locustfile has no user class {', '.join(sorted(missing))}: is it the master's?"
        )
    if names:
        environment.user_classes = [c for c in environment.user_classes if c.__name__ in names]


def _begin(
    environment: Any, runner: Any, role: str, settings: dict[str, Any], stem: Path, clock_ahead_s: float
) -> None:
    flight, ticker = Flight(), Ticker()
    journal = Journal(stem, flight, ticker, settings.get("secrets", ()))
    ending = Ending(flight, journal.on_user_ended)
    offset = time.time() - time.monotonic()
    journal.note("process", role=role, pid=os.getpid(), clock_offset_s=offset, clock_ahead_s=clock_ahead_s)
    for kind, facts in overrides.settle(environment, runner, settings):
        journal.note(kind, **facts)
    if role == "master":
        wait_for_workers(runner, settings["stop_timeout_s"])
    if role in ("local", "master") and settings["stages"]:
        environment.shape_class = PlanShape(settings)
        environment.shape_class.runner = runner
    pace, user_classes = Pace(), list(environment.user_classes)
    _apply_weights(user_classes, settings["weights"])
    if settings["arrivals"]:
        environment.user_classes = [arrivals_class(user_classes, settings, pace)]
    if role != "master":
        if settings["request_ids"]:
            RequestIds(settings["host"], trace=settings["trace"]).watch()
        flight.watch(settings["timeout_s"])
        ending.watch()
        _seed(settings["seed"], runner)
        _apply_timeouts(user_classes, settings["timeout_s"])
        _apply_headers(user_classes, settings["headers"])
        checks.listener = journal.on_check
        # Before all others: a listener of the locustfile that raises RescheduleTask hides a request from those after it.
        events.request._handlers.insert(0, journal.on_request)
        if settings.get("response_headers"):
            events.request._handlers.insert(1, header_recorder.listener(journal))
    if role == "remote":
        remote.send_records(stem, journal.flush)
    # A full collection of Locust's imports stops the whole generator for 50 ms and more, in mid-measurement; frozen
    # objects are never collected.
    gc.collect()
    gc.freeze()
    _watch(environment, runner, journal, ending, pace if settings["arrivals"] else None, settings, role)


def _seed(seed: int | None, runner: Any) -> None:
    if seed is not None:
        random.seed(f"{seed}-{getattr(runner, 'worker_index', 0)}")


def _apply_timeouts(user_classes: list[Any], timeout_s: float) -> None:
    """Set the timeouts of FastHttpUser, 60 s by default (HttpUser: see `Flight`), unless a class sets its own."""
    for user_class in user_classes:
        if issubclass(user_class, FastHttpUser):
            own = {name for base in user_class.__mro__ if not issubclass(FastHttpUser, base) for name in vars(base)}
            for attribute in {"connection_timeout", "network_timeout"} - own:
                setattr(user_class, attribute, timeout_s)


def _apply_weights(user_classes: list[Any], weights: dict[str, float]) -> None:
    for user_class in user_classes:
        user_class.weight = weights.get(user_class.__name__, user_class.weight)


def _apply_headers(user_classes: list[Any], headers: dict[str, str]) -> None:
    """Send the plan's headers with each request; those that a class or a request sets itself win."""
    for user_class in user_classes if headers else ():
        if issubclass(user_class, FastHttpUser):
            user_class.default_headers = {**headers, **(user_class.default_headers or {})}
        elif issubclass(user_class, HttpUser):
            user_class.__init__ = _with_headers(user_class.__init__, headers)


def _with_headers(made: Any, headers: dict[str, str]) -> Any:
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        self.client.headers.update(headers)

    return __init__


class _Uncaught(logging.Handler):
    """Keeps the first exception of a listener of the locustfile, which Locust only logs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not self.first and text.startswith("Uncaught exception in event handler"):
            self.first = text.strip().splitlines()[-1]


def _watch(
    environment: Any,
    runner: Any,
    journal: Journal,
    ending: Ending,
    pace: Pace | None,
    settings: dict[str, Any],
    role: str,
) -> None:
    """Flush twice a second, note start, stop and errors, and write the footer at the very end."""
    stopping, uncaught = {"at": 0.0, "footer": 0.0}, _Uncaught()
    noted = {"tasks": 0, "requests": 0, "cpu_s": 0.0}
    logging.getLogger().addHandler(uncaught)
    offset = time.time() - time.monotonic()
    flight, ticker = journal.flight, journal.ticker

    def alive() -> list[tuple[Any, Any]]:
        if pace is not None:
            return list(pace.active.items())
        return [(greenlet.args[0], greenlet) for greenlet in list(runner.user_greenlets) if greenlet.args]

    def flush() -> None:
        try:
            journal.flush()
        except OSError as problem:
            # Continuing would only generate load that is not measured.
            logger.error("perflab cannot write its records: %s", problem)
            os._exit(CANNOT_WRITE)

    def note_users() -> None:
        if not isinstance(runner, MasterRunner):
            users = runner.user_count if pace is None else pace.busy
            journal.note(
                "users",
                time=time.time(),
                users=users,
                due=pace.due if pace else None,
                sent=flight.sent,
                in_flight=flight.in_flight,
            )

    def note_loop() -> None:
        work = {"tasks": ending.tasks, "requests": journal.count, "cpu_s": round(time.process_time(), 4)}
        since = {name: count - noted[name] for name, count in work.items()}
        noted.update(work)
        journal.note("loop", time=time.time(), over=ending.over, **since, **ticker.take())

    def beat() -> None:
        while True:
            note_users()
            note_loop()
            flush()
            gevent.sleep(FLUSH_S)

    def on_start(**_: Any) -> None:
        if role in ("local", "master"):
            # Locust handles SIGTERM only once a shape is over, and would be killed by it before.
            gevent.signal_handler(signal.SIGTERM, end_load)
        elif environment.parsed_options is not None:
            environment.parsed_options.run_time = overrides.run_time_s(settings)

    def fire_start(**given: Any) -> None:
        """The load starts after all listeners of its start, which may take long (to log in, to fill a database)."""
        # A worker has its host from the master, just before.
        planned = host if role in ("local", "master") else environment.host
        try:
            fire(**given)
        finally:
            if (theirs := overrides.restore_host(environment, planned)) is not None:
                journal.note("host", classes=["environment.host"], hosts=[theirs])
            journal.note("start", time=time.time(), before=journal.count)
            if environment.shape_class is not None:
                environment.shape_class.reset_time()

    def end_load() -> None:
        if runner.shape_greenlet is not None and runner.state in (STATE_INIT, STATE_SPAWNING, STATE_RUNNING):
            runner.shape_greenlet.kill(block=False)

    def on_stopping(**_: Any) -> None:
        stopping["at"] = time.monotonic()
        note_users()
        note_loop()
        journal.note("stop", time=time.time(), users=runner.user_count)
        ending.end(alive)
        if environment.parsed_options is not None:
            # Locust would wait for it once more, and quit a second time.
            environment.parsed_options.run_time = None

    def on_stop(**_: Any) -> None:
        took = time.monotonic() - stopping["at"] if stopping["at"] else 0.0
        others = sorted(ending.others) if took >= settings["stop_timeout_s"] > 0 else []
        journal.note("stopped", time=time.time(), took_s=took, cut=flight.cut + flight.in_flight, others=others)
        if role == "remote":
            # The last report to the master leaves before the process ends; nothing is counted after this.
            end(0)

    def on_cpu(cpu_usage: float = 0.0, **_: Any) -> None:
        journal.note("cpu", time=time.time(), percent=cpu_usage)

    def on_user_error(exception: Any = None, **_: Any) -> None:
        journal.on_user_error(described(exception))

    def end(exit_code: int) -> None:
        stopping["footer"] = time.monotonic()
        jump = time.time() - time.monotonic() - offset
        note_loop()
        if pace is not None and not isinstance(runner, MasterRunner):
            journal.note("arrivals", due=pace.due, begun=pace.begun, failed=pace.failed)
        journal.note(
            "footer",
            count=journal.count,
            checks=journal.checked,
            user_errors=journal.user_errors,
            users_ended=journal.users_ended,
            clock_jump_s=jump,
            exit_code=exit_code,
            own_exit_code=environment.process_exit_code,
            uncaught=journal.shown(uncaught.first),
            odd_starts=journal.odd,
            sent=flight.sent,
            cut=flight.cut + flight.in_flight,
            timed_out=flight.timed_out,
            late=flight.late + flight.in_flight_late,
            dropped=flight.dropped + flight.held,
            redirects=flight.redirects,
            repeats=flight.repeats,
        )
        flush()

    def on_exit() -> None:
        """The process exits although the run has not ended: sys.exit in the locustfile, or an uncaught exception."""
        if not stopping["footer"] and os.getpid() == journal._pid:
            # Set before the handlers of the end are called, and never by SystemExit.
            problem = getattr(sys, "last_value", None)
            error = journal.shown(described(problem)) if problem else ""
            journal.note("exited", time=time.time(), error=error)
            end(1)

    def on_quit(exit_code: int = 0, **_: Any) -> None:
        if role != "remote":
            end(exit_code)

    atexit.register(on_exit)
    host = environment.host
    fire, events.test_start.fire = events.test_start.fire, fire_start  # type: ignore[method-assign]
    events.test_start._handlers.insert(0, on_start)
    # Before all others: the plan's time does not wait for the locustfile's listeners.
    events.test_stopping._handlers.insert(0, on_stopping)
    events.test_stop.add_listener(on_stop)
    events.cpu_warning.add_listener(on_cpu)
    events.user_error.add_listener(on_user_error)
    events.quit.add_listener(on_quit)
    gevent.spawn(beat)
    if not isinstance(runner, MasterRunner):
        gevent.spawn(ticker.run)
        ticker.watch_switches(ending.spawners)
