"""One run: start what is needed, watch the load, store what was captured, and judge it."""

from __future__ import annotations

import errno
import math
import threading
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from perflab import provenance
from perflab.data import store
from perflab.errors import StoreError
from perflab.loadtest import capture, process, profiled_target, reasons, recovery
from perflab.loadtest.abort import broken
from perflab.loadtest.alone import alone
from perflab.loadtest.following import listening as listening
from perflab.loadtest.keeping import GENERATOR, Ended, judging_of, keep, record_of
from perflab.loadtest.logfiles import LogFiles, clean, cut
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.records import CANNOT_WRITE
from perflab.loadtest.resources import Sampler
from perflab.loadtest.scrape import Scraper
from perflab.loadtest.server_statements import ServerStatements
from perflab.loadtest.serving import Service, Services
from perflab.loadtest.slot import Slot
from perflab.loadtest.tail import Snapshot, Tail
from perflab.loadtest.target import Target
from perflab.notes import GENERATOR as BY_GENERATOR
from perflab.notes import Note
from perflab.progress import Listener
from perflab.units import format_ms

_POLL_S = 0.25
_OVERTIME_S = 30.0
_CPU = ("generator", "target", "machine")


@dataclass(frozen=True)
class Live:
    """How a run is followed: the listener for its progress, the seconds done before it, and the event that ends it."""

    listener: Listener
    done_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Driven:
    """A stored run, and whether its user stopped it."""

    folder: Path
    interrupted: bool


class _Stopped(Exception):
    """The user ended the run from another thread."""


class OtherPlan(Protocol):
    """A plan that makes its runs itself, without Locust. ``metric`` is what it is compared by."""

    @property
    def metric(self) -> str: ...

    @property
    def expected_s(self) -> float: ...

    def drive(
        self, target: Target, place: str | Path, at: Slot, live: Live, seed: int | None, services: Services | None
    ) -> Driven: ...


def expected_s(plan: LoadPlan | OtherPlan) -> float:
    """The length of a run including start and end, for the progress display only."""
    return plan.duration_s + 3.0 if isinstance(plan, LoadPlan) else plan.expected_s


def drive(
    plan: LoadPlan | OtherPlan,
    target: Target,
    place: str | Path,
    at: Slot,
    live: Live,
    seed: int | None = None,
    services: Services | None = None,
) -> Driven:
    """Make one run and store it."""
    if not isinstance(plan, LoadPlan):
        return plan.drive(target, place, at, live, seed, services)
    plan.found_locustfile()
    with alone(), closing(Services()) if services is None else nullcontext(services) as held:
        return _drive(plan, target, place, at, live, seed, held)


def _drive(
    plan: LoadPlan, target: Target, place: str | Path, at: Slot, live: Live, seed: int | None, services: Services
) -> Driven:
    draft = store.Draft(place, target.arm)
    with recovery.holding(draft):
        try:
            environment = provenance.stamp()
            recovery.prepare(draft, record_of(plan, target, at, environment, seed), judging_of(plan))
            ended = _load(plan, target, draft, live, services, environment)
            kept = keep(plan, target, draft, at, ended, seed)
        except OSError as problem:
            if problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO):
                raise
            raise StoreError(f"{draft.store}: the run cannot be kept: {problem.strerror}") from problem
    return Driven(draft.sent(kept), ended.interrupted)


def _load(
    plan: LoadPlan,
    target: Target,
    draft: store.Draft,
    live: Live,
    services: Services,
    environment: dict[str, Any],
) -> Ended:
    """Run the load; Locust and the target start at the same time."""
    locust = process.start(plan, target.host, draft.folder / GENERATOR, log=draft.folder / "logs" / "locust.log")
    try:
        return _loaded(plan, target, draft, live, services, locust, environment)
    finally:
        locust.stop()
        process.forget_settings(draft.folder / GENERATOR)


def _loaded(
    plan: LoadPlan,
    target: Target,
    draft: store.Draft,
    live: Live,
    services: Services,
    locust: process.Generator,
    environment: dict[str, Any],
) -> Ended:
    reason, restarted, interrupted = None, None, False
    scraper = Scraper(target.host, target.metrics, health=target.ready) if target.metrics else None
    with services.of(target, draft.folder, plan.secrets(target.host)) as service:
        if live.stop.is_set():
            raise KeyboardInterrupt("stopped before the first request; nothing was kept")
        logs = LogFiles(target.log_files)
        generator = draft.folder / GENERATOR
        trees = {"generator": locust.pids} | ({"target": (service.pid,)} if service.pid else {})
        profiler = profiled_target.attached(target.profile, service.pid, draft.folder, own=service.own)
        watched = Sampler(trees, roots=() if service.own else ("target",), machine=True)
        counted = ServerStatements(target.database) if target.database else None
        with watched as sampler, scraper or nullcontext(), counted or nullcontext(), profiler:
            try:
                locust.begin()
                reason = _watched(plan, locust, service, generator, sampler, live)
            except (KeyboardInterrupt, _Stopped):
                interrupted = True
            finally:
                locust.stop()
            restarted = service.restarted()
        waited, service.still_starting = service.still_starting, None
        if not interrupted:
            _must_have_worked(plan, locust, generator, reason)
        warnings = logs.collect(draft.folder / "logs") + sampler.warnings() + ([waited] if waited else [])
    warnings += cut(draft.folder / "logs")
    clean(draft.folder / "logs", [*target.secrets(), *plan.secrets(target.host)])
    if scraper and scraper.restarted and not restarted:
        restarted = reasons.TARGET_START_TIME_CHANGED()
    code = 0 if interrupted or reason else locust.exit_code() or 0
    return Ended(reason, restarted, code, interrupted, sampler, scraper, counted, environment, tuple(warnings))


def _watched(
    plan: LoadPlan, locust: process.Generator, service: Service, folder: Path, sampler: Sampler, live: Live
) -> Note | None:
    """Wait for the end of the load and publish its progress; return why it ended early."""
    began, tail = time.monotonic(), Tail(folder)
    limit_s = plan.duration_s + plan.stop_timeout_s + _OVERTIME_S
    limit_s += plan.worker_timeout_s if plan.remote_workers else 0.0
    while not locust.wait(_POLL_S):
        if live.stop.is_set():
            raise _Stopped
        if died := service.died():
            return died
        elapsed = time.monotonic() - began
        if elapsed > limit_s:
            return reasons.DID_NOT_END(overtime_ms=_OVERTIME_S * 1e3)
        so_far = tail.update()
        for goal in plan.goals:
            if failed := broken(goal, so_far):
                return failed
        done_s = live.done_s + min(elapsed, expected_s(plan))
        live.listener.update(done_s, **_facts(so_far, sampler, plan))
    if locust.exit_code() == CANNOT_WRITE:
        return reasons.CANNOT_WRITE(problem=locust.tail(300).strip().splitlines()[-1])
    return service.died()


def _facts(so_far: Snapshot, sampler: Sampler, plan: LoadPlan) -> dict[str, Any]:
    recent = so_far.recent
    return {
        # An open model has no users: what is counted are arrivals that have not ended.
        "in_progress" if plan.is_open else "users": so_far.users,
        "throughput_per_s": so_far.requests_per_s,
        "p95_ms": so_far.latency.quantile(0.95),
        "error_fraction": so_far.errors / so_far.requests if so_far.requests else math.nan,
        "requests": so_far.requests,
        "p50_ms": so_far.latency.quantile(0.5),
        **{f"{name}_cores": sampler.latest(name).get("cpu_cores", math.nan) for name in _CPU},
        "recent_p50_ms": recent.quantile(0.5),
        "recent_p95_ms": recent.quantile(0.95),
        "recent_error_fraction": so_far.recent_errors / recent.count if recent.count else math.nan,
    }


def _must_have_worked(plan: LoadPlan, locust: process.Generator, folder: Path, reason: Note | None) -> None:
    """Raise unless Locust made at least one request."""
    found = capture.processes(folder)
    if sum(p.count for p in found):
        return
    if at_fault := process.locustfile_at_fault(locust, folder):
        raise at_fault
    if plan.remote_workers and "Gave up waiting for workers" in locust.tail():  # Locust's own words
        waited = format_ms(plan.worker_timeout_s * 1e3)
        raise process.failure(locust, f"not all of the {plan.all_workers} workers connected within {waited}")
    errors = [note["text"] for p in found for note in p.notes.get("user_error", [])]
    if errors:
        raise process.failure(locust, f"no request was made: the users of {plan.found_locustfile()} raised {errors[0]}")
    footers = [p.footer or (p.notes.get("users") or [{}])[-1] for p in found]
    if sent := sum(int(footer.get("sent") or 0) for footer in footers):
        exits = [note.get("error") for p in found for note in p.notes.get("exited", [])]
        cause = next((f"; the process ended with {error}" for error in exits if error), None)
        how = cause or ("; the locustfile ended the process (sys.exit)" if exits else "")
        dropped = sum(int(footer.get("dropped") or 0) for footer in footers)
        none = (
            f"Locust reported none of them ({reasons.UNREPORTED(requests=dropped)})" if dropped else "none was answered"
        )
        raise process.failure(locust, f"{sent:,} requests were sent and {none}{how}")
    if reason and reason.about != BY_GENERATOR:
        raise process.failure(locust, f"no request was made: {reason}")
    if locust.exit_code():
        raise process.failure(locust, f"Locust exited with code {locust.exit_code()} before it made a request")
    raise process.failure(locust, "the run made no request at all: does the locustfile have tasks, and the plan users?")
