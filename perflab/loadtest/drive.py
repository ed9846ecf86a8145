"""One run: start what is needed, watch the load, keep what was captured, and judge it."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perflab import formats, provenance
from perflab.data import store
from perflab.errors import FormatError, LoadTestError, StoreError
from perflab.loadtest import capture, process, profiled_target, validity
from perflab.loadtest.abort import broken
from perflab.loadtest.logfiles import LogFiles
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.records import CANNOT_WRITE
from perflab.loadtest.resources import Sampler
from perflab.loadtest.scrape import Scraper
from perflab.loadtest.tail import Sight, Tail
from perflab.loadtest.target import Service, Services, Target
from perflab.progress import Progress
from perflab.stats import sequential
from perflab.units import format_fraction, format_ms, format_rate

_ALONE = threading.Lock()
_POLL_S = 0.25
_OVERTIME_S = 30.0
GENERATOR = "generator"
"""The folder in a draft with what the generator's processes write."""
JUDGING = "judging"
"""The key in a run's record with what is needed to judge it anew."""


@dataclass(frozen=True)
class Place:
    """Where a run stands in an experiment."""

    experiment: str | None = None
    pair: int | None = None
    order: int | None = None
    looks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Watch:
    """Who looks on: where progress is shown, the seconds that are done before, and the event that ends the run."""

    shown: Progress
    done_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Driven:
    """A run that was kept in a folder, and whether its user stopped it."""

    folder: Path
    interrupted: bool


class _Stopped(Exception):
    """The user asked for the end, from another thread."""


def expected_s(plan: LoadPlan) -> float:
    """Seconds of a run with what surrounds it; for the progress display only."""
    return plan.duration_s + 3.0


def drive(
    plan: LoadPlan,
    target: Target,
    place: str | Path,
    at: Place,
    watch: Watch,
    seed: int | None = None,
    services: Services | None = None,
) -> Driven:
    """Drive one run and keep it."""
    plan.found_locustfile()
    if not _ALONE.acquire(blocking=False):
        raise LoadTestError(
            "another run is under way in this process, and the two would disturb each other: stop it or wait"
        )
    try:
        with closing(Services()) if services is None else nullcontext(services) as held:
            return _drive(plan, target, place, at, watch, seed, held)
    finally:
        _ALONE.release()


def _drive(
    plan: LoadPlan, target: Target, place: str | Path, at: Place, watch: Watch, seed: int | None, services: Services
) -> Driven:
    draft = store.Draft(place, target.arm)
    try:
        ended = _load(plan, target, draft, watch, services)
        return Driven(_keep(plan, target, draft, at, ended, seed), ended.interrupted)
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO):
            raise
        raise StoreError(f"{draft.store}: the run cannot be kept: {problem.strerror}") from problem
    finally:
        # Kept, the folder has its real name by now; anything else must not be left half-written.
        draft.drop()


@dataclass(frozen=True)
class _Ended:
    """How the load ended: in time, or for a reason; whether the target restarted; whether by the user; the resources seen."""

    reason: str | None
    restarted: str | None
    interrupted: bool
    sampler: Sampler
    scraper: Scraper | None
    environment: dict[str, Any]
    warnings: tuple[str, ...]


def _load(plan: LoadPlan, target: Target, draft: store.Draft, watch: Watch, services: Services) -> _Ended:
    """Locust gets ready while the target does."""
    locust = process.start(plan, target.host, draft.folder / GENERATOR, log=draft.folder / "logs" / "locust.log")
    try:
        return _loaded(plan, target, draft, watch, services, locust)
    finally:
        locust.stop()


def _loaded(
    plan: LoadPlan, target: Target, draft: store.Draft, watch: Watch, services: Services, locust: process.Generator
) -> _Ended:
    environment = provenance.stamp()
    reason, restarted, interrupted = None, None, False
    scraper = Scraper(target.host, target.metrics) if target.metrics else None
    with services.of(target, draft.folder) as service:
        if watch.stop.is_set():
            raise KeyboardInterrupt("stopped before the first request; nothing was kept")
        logs = LogFiles(target.log_files)
        generator = draft.folder / GENERATOR
        trees = {"generator": locust.pids} | ({"target": (service.pid,)} if service.pid else {})
        profiler = profiled_target.attached(target.profile, service.pid, draft.folder, own=service.own)
        watched = Sampler(trees, roots=() if service.own else ("target",))
        with watched as sampler, scraper or nullcontext(), profiler:
            try:
                locust.begin()
                reason = _watched(plan, locust, service, generator, sampler, watch)
            except (KeyboardInterrupt, _Stopped):
                interrupted = True
            finally:
                locust.stop()
            restarted = service.restarted()
        if not interrupted:
            _must_have_worked(plan, locust, generator, reason)
        warnings = logs.collect(draft.folder / "logs")
    if scraper and scraper.restarted and not restarted:
        restarted = "the target was restarted in mid-run (its process_start_time_seconds changed)"
    return _Ended(reason, restarted, interrupted, sampler, scraper, environment, tuple(warnings))


def _watched(
    plan: LoadPlan, locust: process.Generator, service: Service, folder: Path, sampler: Sampler, watch: Watch
) -> str | None:
    """Wait for the end of the load, showing how it goes; returns why it ended before its time."""
    began, tail = time.monotonic(), Tail(folder)
    limit_s = plan.duration_s + plan.stop_timeout_s + _OVERTIME_S
    limit_s += plan.worker_timeout_s if plan.remote_workers else 0.0
    while not locust.wait(_POLL_S):
        if watch.stop.is_set():
            raise _Stopped
        if died := service.died():
            return died
        elapsed = time.monotonic() - began
        if elapsed > limit_s:
            return f"Locust did not end {format_ms(_OVERTIME_S * 1e3)} after the plan's end and was stopped"
        sight = tail.update()
        for goal in plan.goals:
            if failed := broken(goal, sight):
                return failed
        done_s = watch.done_s + min(elapsed, expected_s(plan))
        watch.shown.update(done_s, **_facts(sight, sampler.latest("generator").get("cpu_cores")))
    if locust.exit_code() == CANNOT_WRITE:
        return f"the generator could not write its records: {locust.tail(300).strip().splitlines()[-1]}"
    return service.died() or (f"Locust ended with exit code {locust.exit_code()}" if locust.exit_code() else None)


def _facts(sight: Sight, cpu_cores: float | None) -> dict[str, str]:
    """What the display says of a run under way."""
    some = sight.requests > 0
    return {
        "users": f"{sight.users:,}",
        "throughput": format_rate(sight.requests_per_s),
        "p95": format_ms(sight.latency.quantile(0.95)) if some else "–",
        "errors": format_fraction(sight.errors / sight.requests) if some else "–",
        "requests": f"{sight.requests:,}",
        "generator": "–" if cpu_cores is None else f"{cpu_cores:.2f} cores",
    }


def _must_have_worked(plan: LoadPlan, locust: process.Generator, folder: Path, reason: str | None) -> None:
    """Raise unless Locust made at least one request."""
    found = capture.processes(folder)
    if sum(p.count for p in found):
        return
    if at_fault := process.locustfile_at_fault(locust, folder):
        raise at_fault
    if plan.remote_workers and "Gave up waiting for workers" in locust.tail():
        waited = format_ms(plan.worker_timeout_s * 1e3)
        raise process.failure(locust, f"not all of the {plan.all_workers} workers came within {waited}")
    errors = [note["text"] for p in found for note in p.notes.get("user_error", [])]
    if errors:
        raise process.failure(locust, f"no request was made: the users of {plan.found_locustfile()} raised {errors[0]}")
    if reason and not reason.startswith("Locust"):
        raise process.failure(locust, f"no request was made: {reason}")
    if locust.exit_code():
        raise process.failure(locust, f"Locust ended with exit code {locust.exit_code()} before it made a request")
    raise process.failure(locust, "the run made no request at all: does the locustfile have tasks, and the plan users?")


def _keep(plan: LoadPlan, target: Target, draft: store.Draft, at: Place, ended: _Ended, seed: int | None) -> Path:
    folder, generator = draft.folder, draft.folder / GENERATOR
    found = capture.processes(generator)
    if not sum(p.count for p in found):
        raise KeyboardInterrupt("interrupted before the first request; nothing was kept")
    written = capture.write_requests(found, folder / "requests.parquet")
    capture.write_checks(found, folder / "checks.parquet")
    draft.write("load", capture.load_frame(found))
    draft.write("resources", ended.sampler.frame(draft.run))
    if ended.scraper:
        draft.write("metrics", ended.scraper.frame(draft.run))
    start_s, stop_s = _span(found)
    reason = f"interrupted after {format_ms((stop_s - start_s) * 1e3)}" if ended.interrupted else ended.reason
    entries = process.statistics(generator)
    judging: dict[str, Any] = {
        "expected_arrivals": plan.expected_arrivals,
        "poisson": plan.arrivals == "poisson",
        "expected_workers": plan.all_workers,
        "ended": reason,
        "restarted": ended.restarted,
    }
    counted = process.counted(entries) if entries else None
    judgement = validity.judge(found, written, locust_count=counted, **judging)
    # What a cut-off worker kept can be merged later, and for that the others' records are needed as they are.
    can_be_merged = any(p.role == "remote" and p.footer is None for p in found)
    if not can_be_merged:
        shutil.rmtree(generator)
    warnings = [
        *judgement.warnings,
        *ended.warnings,
        *(ended.scraper.warnings if ended.scraper else ()),
        *(_keep_queries(draft) if target.record_queries else ()),
    ]
    profiled, notes = profiled_target.keep(target.profile, draft)
    warnings += notes
    expected = plan.expected_arrivals
    return draft.keep(
        {
            "arm": target.arm,
            "experiment": at.experiment,
            "pair": at.pair,
            "order": at.order,
            "start": datetime.fromtimestamp(start_s, UTC).isoformat(),
            "duration_ms": (stop_s - start_s) * 1e3,
            "valid": not judgement.reasons,
            "reasons": list(judgement.reasons),
            "warnings": warnings,
            "host": provenance.without_credentials(target.host),
            "plan": plan.record(),
            "environment": _environment(target, ended.environment, seed) | profiled | sequential.environment(at.looks),
            "locust": entries,
            **({JUDGING: judging} if can_be_merged else {}),
            **({} if expected is None else {"schedule": validity.schedule(found, written, expected)}),
        }
    )


def _environment(target: Target, stamped: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    return {
        **stamped,
        "generator": f"locust {provenance.package_version('locust')}",
        "target": target.record(),
        "recorded_queries": target.record_queries,
        **({} if seed is None else {"order_seed": seed}),
    }


def _span(found: list[capture.Process]) -> tuple[float, float]:
    """First start and last stop of the load, in seconds since 1970."""
    starts = [note["time"] for p in found for note in p.notes.get("start", [])]
    stops = [note["time"] for p in found for note in p.notes.get("stop", [])]
    # A generator that was lost noted no stop; its last sign of life stands for it.
    alive = [note["time"] for p in found for note in p.notes.get("users", [])]
    if not starts:
        raise LoadTestError("the generator never began: its record files have no start")
    return min(starts), max(stops or alive or starts)


def _keep_queries(draft: store.Draft) -> list[str]:
    """Turn what the application's recorder wrote into the run's queries; returns warnings."""
    path = draft.folder / "queries.jsonl"
    if not path.exists() or not path.stat().st_size:
        path.unlink(missing_ok=True)
        return ["the target recorded no queries: does the application call record_queries()?"]
    try:
        tables = formats.named("query_recorder").read(path)
    except FormatError as problem:
        return [f"the recorded queries could not be read: {problem}"]
    draft.write("queries", tables["queries"])
    path.unlink()
    return list(getattr(tables, "warnings", ()))
