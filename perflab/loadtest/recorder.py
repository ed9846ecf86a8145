"""What runs inside Locust's processes: it writes a record for each request and carries out the plan's stages.

Installed by `launcher`; imports neither pandas nor pyarrow, so that the generator needs little CPU. One file for
each process, opened when the runner exists, never at import (Locust may fork between the two).
"""

from __future__ import annotations

import atexit
import gc
import hashlib
import json
import logging
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import gevent
from gevent import getcurrent
from locust import HttpUser, LoadTestShape, events
from locust.contrib.fasthttp import FastHttpUser
from locust.runners import STATE_INIT, STATE_RUNNING, STATE_SPAWNING, MasterRunner, WorkerRunner

from perflab.loadtest import overrides, remote
from perflab.loadtest.arrivals import Pace, arrivals_class
from perflab.loadtest.ending import Ending
from perflab.loadtest.flight import Flight
from perflab.loadtest.records import CANNOT_WRITE, CHECK, FLUSH_S, MAX_NAMES, MAX_TEXT, MAX_USER_ERRORS, RECORD, stem_of
from perflab.loadtest.standstill import Ticker
from perflab.recorders import checks

logger = logging.getLogger("perflab")
_NAN = float("nan")
_DAY_S = 86_400.0
_MAX_SIZE = (1 << 63) - 1


class Journal:
    """The files of one process; appends in memory, writes every half second."""

    def __init__(self, stem: Path, flight: Flight | None = None, ticker: Ticker | None = None) -> None:
        self.count = self.checked = self.user_errors = self.users_ended = self.odd = 0
        self.flight, self.ticker = flight or Flight(), ticker or Ticker()
        self._open = self.flight.open
        self._pid = os.getpid()
        self.endpoints: dict[tuple[str, str], int] = {}
        self.errors: dict[str, int] = {}
        self.checks: dict[str, int] = {}
        self._last: tuple[Any, int] = (None, 0)
        self._pending, self._pending_checks = bytearray(), bytearray()
        self._notes: list[str] = []
        self._checks = stem.with_suffix(".checks").open("ab", buffering=0)
        self._records = stem.with_suffix(".bin").open("ab", buffering=0)
        self._side = stem.with_suffix(".jsonl").open("ab", buffering=0)

    def note(self, kind: str, **facts: Any) -> None:
        self._notes.append(json.dumps({"kind": kind, **facts}) + "\n")

    def on_request(
        self,
        request_type: str = "",
        name: str = "",
        response_time: float | None = None,
        response_length: int | None = 0,
        response: Any = None,
        context: Any = None,
        exception: Any = None,
        start_time: float | None = None,
        **_: Any,
    ) -> None:
        """Locust's ``request`` event: the hot path, kept to a dictionary look-up and a pack."""
        greenlet = getcurrent()
        if self._open:
            self.flight.reported(greenlet)
        now = self.ticker.now
        try:
            status = int(response.status_code or 0)
        except (AttributeError, TypeError, ValueError):
            status = 0
        try:
            endpoint = self.endpoints.get((request_type, name))
            if endpoint is None:
                endpoint = self._endpoint(request_type, name)
            self._last = (response, endpoint)
            if start_time is None:
                start_time = _start_of(response_time)
            if not now - _DAY_S < start_time < now + _DAY_S:
                raise ValueError("no wall clock")
            self._pending += RECORD.pack(
                start_time,
                response_time,
                context.get("perflab_due", _NAN) if context else _NAN,
                response_length or 0,
                endpoint,
                self._error(exception) if exception else 0,
                getattr(greenlet, "minimal_ident", 0) & 0xFFFFFFFF,
                status & 0xFFFF,
            )
        except Exception:  # noqa: BLE001 - whatever a client of the locustfile's own passes, no record is lost by it
            self._odd(request_type, name, response_time, response_length, context, exception, start_time, status)
        self.count += 1

    def _odd(
        self, kind: Any, name: Any, latency: Any, size: Any, context: Any, exception: Any, start: Any, status: int
    ) -> None:  # fmt: skip
        """An event with values of other kinds: what can be taken as a number is, the rest is as if it were not given."""
        latency_ms = _number(latency)
        at = _number(start.timestamp() if hasattr(start, "timestamp") else start)
        if not abs(at - time.time()) < _DAY_S:
            self.odd += start is not None
            at = _start_of(latency_ms)
        length = _number(size)
        endpoint = self._known(_text(kind), _text(name))
        self._last = (None, endpoint)
        self._pending += RECORD.pack(
            at,
            latency_ms,
            _number(context.get("perflab_due", _NAN)) if isinstance(context, dict) else _NAN,
            int(length) if abs(length) < _MAX_SIZE else 0,
            endpoint,
            self._error(exception) if exception else 0,
            getattr(getcurrent(), "minimal_ident", 0) & 0xFFFFFFFF,
            status & 0xFFFF,
        )

    def _endpoint(self, request_type: str, name: str) -> int:
        key = (request_type, name)
        if len(self.endpoints) >= MAX_NAMES:
            key = ("", "(more names)")
            if key in self.endpoints:
                return self.endpoints[key]
        index = len(self.endpoints)
        self.endpoints[key] = index
        kind, called = _text(key[0]), _text(key[1])
        # A name that holds the method already ("GET /orders") doesn't get it twice.
        self.note(
            "endpoint",
            index=index,
            name=_short(called if called.startswith(f"{kind} ") else f"{kind} {called}".strip()),
        )
        return index

    def _error(self, exception: Any) -> int:
        kind, said = type(exception).__name__, _text(exception)
        text = _short(said if kind in ("CatchResponseError", "str") else f"{kind}: {said}")
        index = self.errors.get(text)
        if index is None:
            if len(self.errors) >= MAX_NAMES:
                text = "(more errors)"
            index = self.errors.setdefault(text, len(self.errors) + 1)
            self.note("error", index=index, text=text)
        return index

    def on_check(self, name: str, ok: bool, response: Any, endpoint: str | None) -> None:
        """A named assertion; without an endpoint it belongs to the request whose response it looks at.

        The latest request's response is known by identity: a check follows its request in the same greenlet, with
        nothing in between that could let another one in. In a ``with`` block it comes first, but knows its request.
        """
        index = self.checks.get(name)
        if index is None:
            if len(self.checks) >= MAX_NAMES:
                name = "(more checks)"
            index = self.checks.setdefault(name, len(self.checks))
            self.note("check", index=index, name=_short(_text(name)))
        at = 0
        if endpoint is not None:
            at = self._known("", endpoint) + 1
        elif response is not None:
            meta = getattr(response, "request_meta", None)
            if isinstance(meta, dict):
                at = self._known(meta["request_type"], meta["name"]) + 1
            elif response is self._last[0]:
                at = self._last[1] + 1
        self._pending_checks += CHECK.pack(time.time(), index, at, ok)
        self.checked += 1

    def on_user_error(self, text: str) -> None:
        """An exception in the locustfile: the first thousand with their texts, the rest as a number."""
        self.user_errors += 1
        if self.user_errors <= MAX_USER_ERRORS:
            self.note("user_error", time=time.time(), text=_short(text))

    def on_user_ended(self, text: str) -> None:
        """A user that left during the load."""
        self.users_ended += 1
        if self.users_ended <= MAX_NAMES:
            self.note("user_ended", time=time.time(), text=_short(_text(text)))

    def _known(self, request_type: str, name: str) -> int:
        found = self.endpoints.get((request_type, name))
        return self._endpoint(request_type, name) if found is None else found

    def flush(self) -> None:
        """Names first: a record on disk must never refer to a name that is not."""
        if os.getpid() != self._pid:  # a fork of the locustfile's own has a copy of what waits here
            return
        if self._notes:
            written, self._notes = "".join(self._notes).encode(), []
            _write_all(self._side, written)
        if self._pending:
            records, self._pending = self._pending, bytearray()
            _write_all(self._records, records)
        if self._pending_checks:
            made, self._pending_checks = self._pending_checks, bytearray()
            _write_all(self._checks, made)


def _start_of(latency_ms: Any) -> float:
    """When a request started that has just ended."""
    known = isinstance(latency_ms, (int, float)) and abs(latency_ms) < _DAY_S * 1e3
    return time.time() - (latency_ms / 1e3 if known else 0.0)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return _NAN


def _text(value: Any) -> str:
    """Any value as a text that can be written: lone surrogates are spelt out."""
    try:
        return str(value).encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - a __str__ of the locustfile's own
        return type(value).__name__


def _short(text: str) -> str:
    """At most `MAX_TEXT` characters; two texts that agree so far stay two."""
    if len(text) <= MAX_TEXT:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{text[: MAX_TEXT - 10]}… {digest}"


def _write_all(file: Any, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


class PlanShape(LoadTestShape):
    """The plan's stages as users over time; Locust asks once a second. An open plan has a scheduler for each worker."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.stages, self.schedulers = settings["stages"], settings["workers"] if settings["arrivals"] else 0
        self.length_s = sum(stage["duration_s"] for stage in self.stages)
        self._last: tuple[int, float] | None = None

    def tick(self) -> tuple[int, float] | None:
        """(users, spawn rate) now, None when the plan is over.

        Locust asks again only after a second: a plan that ends before that is waited for here, to end when it says.
        """
        elapsed = self.get_run_time()
        wanted, left = self._wanted(elapsed), self.length_s - elapsed
        if wanted is not None and wanted == self._last and left < 1.0:
            gevent.sleep(max(0.0, left))
            return None
        self._last = wanted
        return wanted

    def _wanted(self, elapsed: float) -> tuple[int, float] | None:
        # A hair early is over.
        if elapsed >= self.length_s - 0.02:
            return None
        if self.schedulers:
            return self.schedulers, 100.0
        before = 0
        for stage in self.stages:
            length, users = stage["duration_s"], stage["users"]
            if elapsed < length - 0.02:
                if stage["ramp"]:
                    # A pace that is never the brake: Locust's start blocks until the users are there.
                    return round(before + (users - before) * elapsed / length), float(max(100, users, before))
                return users, float(stage["spawn_rate"] or max(users, before, 1))
            elapsed, before = elapsed - length, users
        return None


def install(settings: dict[str, Any]) -> None:
    """Listen to Locust's events; called once, before Locust's own main."""
    if settings.get("token"):
        remote.secure(settings["token"])

    @events.init.add_listener
    def on_init(environment: Any, runner: Any, **_: Any) -> None:
        folder = Path(settings["folder"])
        if settings.get("remote"):
            told, ahead_s = remote.ask(runner)
            _choose(environment, told["user_classes"])
            _begin(environment, runner, "remote", told, folder / stem_of(runner.client_id), ahead_s)
            return
        role = (
            "master" if isinstance(runner, MasterRunner) else "worker" if isinstance(runner, WorkerRunner) else "local"
        )
        if role == "master" and settings["remote_workers"]:
            remote.answer_questions(runner, settings)
            remote.receive_records(folder)
        _begin(environment, runner, role, settings, folder / f"{role}-{os.getpid()}", 0.0)


def _choose(environment: Any, names: list[str]) -> None:
    """The user classes that the plan names; other workers get them from Locust's command line."""
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
    journal = Journal(stem, flight, ticker)
    ending = Ending(flight, journal.on_user_ended)
    offset = time.time() - time.monotonic()
    journal.note("process", role=role, pid=os.getpid(), clock_offset_s=offset, clock_ahead_s=clock_ahead_s)
    for kind, facts in overrides.settle(environment, runner, settings):
        journal.note(kind, **facts)
    if role in ("local", "master") and settings["stages"]:
        environment.shape_class = PlanShape(settings)
        environment.shape_class.runner = runner
    pace, user_classes = Pace(), list(environment.user_classes)
    _apply_weights(user_classes, settings["weights"])
    if settings["arrivals"]:
        environment.user_classes = [arrivals_class(user_classes, settings, pace)]
    if role != "master":
        flight.watch()
        ending.watch()
        _seed(settings["seed"], runner)
        _apply_timeouts(user_classes, settings["timeout_s"])
        _apply_headers(user_classes, settings["headers"])
        checks.listener = journal.on_check
        # First of all: a listener of the locustfile that raises RescheduleTask hides a request from those after it.
        events.request._handlers.insert(0, journal.on_request)
    if role == "remote":
        remote.send_records(stem, journal.flush)
    # A full collection of what Locust has imported stops the whole generator for 50 ms and more, in mid-measurement;
    # frozen, it is never looked at again.
    gc.collect()
    gc.freeze()
    _watch(environment, runner, journal, ending, pace if settings["arrivals"] else None, settings, role)


def _seed(seed: int | None, runner: Any) -> None:
    if seed is not None:
        random.seed(f"{seed}-{getattr(runner, 'worker_index', 0)}")


def _apply_timeouts(user_classes: list[Any], timeout_s: float) -> None:
    """FastHttpUser waits for 60 s by default; a class that sets its own time-outs keeps them."""
    for user_class in user_classes:
        if issubclass(user_class, FastHttpUser):
            for attribute in ("connection_timeout", "network_timeout"):
                if getattr(user_class, attribute) == getattr(FastHttpUser, attribute):
                    setattr(user_class, attribute, timeout_s)


def _apply_weights(user_classes: list[Any], weights: dict[str, float]) -> None:
    for user_class in user_classes:
        user_class.weight = weights.get(user_class.__name__, user_class.weight)


def _apply_headers(user_classes: list[Any], headers: dict[str, str]) -> None:
    """Send the plan's headers with each request; those that a class or a request sets itself go first."""
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
    """The first exception of a listener of the locustfile, which Locust only logs."""

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
    """Flush twice a second, note start, stop and what went wrong, and write the footer at the very end."""
    stopping, uncaught = {"at": 0.0, "footer": 0.0}, _Uncaught()
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
            # Going on would only make more load that nobody measures.
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
        journal.note("loop", time=time.time(), over=ending.over, **ticker.take())

    def beat() -> None:
        while True:
            note_users()
            note_loop()
            flush()
            gevent.sleep(FLUSH_S)

    def on_start(**_: Any) -> None:
        journal.note("start", time=time.time())
        if role in ("local", "master"):
            # Locust listens to SIGTERM only once a shape is over, and would die of it before.
            gevent.signal_handler(signal.SIGTERM, end_load)

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
        journal.on_user_error(f"{type(exception).__name__}: {exception}")

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
            uncaught=uncaught.first,
            odd_starts=journal.odd,
            sent=flight.sent,
            cut=flight.cut + flight.in_flight,
            dropped=flight.dropped,
        )
        flush()

    def on_exit() -> None:
        """The process ends by sys.exit in the locustfile: Locust ends no run then."""
        if not stopping["footer"] and os.getpid() == journal._pid:
            journal.note("exited", time=time.time())
            end(1)

    def on_quit(exit_code: int = 0, **_: Any) -> None:
        if role != "remote":
            end(exit_code)

    atexit.register(on_exit)
    events.test_start._handlers.insert(0, on_start)
    events.test_stopping.add_listener(on_stopping)
    events.test_stop.add_listener(on_stop)
    events.cpu_warning.add_listener(on_cpu)
    events.user_error.add_listener(on_user_error)
    events.quit.add_listener(on_quit)
    gevent.spawn(beat)
    if not isinstance(runner, MasterRunner):
        gevent.spawn(ticker.run)
