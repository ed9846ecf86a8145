"""`run` and `run_pairs`: drive a plan against targets, keep every run, and say whether each is valid."""

from __future__ import annotations

import errno
import random
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perflab import formats, provenance, store
from perflab.errors import FormatError, LoadTestError, StoreError
from perflab.live import Progress
from perflab.loadtest import capture, process, validity
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.records import CANNOT_WRITE
from perflab.loadtest.target import Service, Target, serving
from perflab.resources import Sampler
from perflab.tables import Measurements
from perflab.units import format_fraction, format_ms

_POLL_S = 0.25
_OVERTIME_S = 30.0
GENERATOR = "generator"
"""The folder in a draft with what the generator's processes write."""


@dataclass(frozen=True)
class _Place:
    """Where a run stands in an experiment."""

    experiment: str | None = None
    pair: int | None = None
    order: int | None = None


def run(plan: LoadPlan, target: Target, *, store: str | Path = "runs", progress: bool = True) -> Measurements:
    """One run of a plan against a target, captured request by request and kept in a store.

    Parameters
    ----------
    plan : the load to offer.
    target : the system under test; started and stopped if it has a command.
    store : the folder that keeps the run.
    progress : show time, requests, errors and p95 so far.

    Returns
    -------
    Measurements of one run: ``requests``, ``load``, ``resources`` (and ``queries``, where recorded). Its row in
    ``runs`` says whether it is valid, and the reasons if not.

    Raises
    ------
    LoadTestError : Locust could not start, or made no request; with the end of its log.
    TargetError : the target could not be reached, or did not become ready; with its last output.
    StoreError : the store can't be written.
    KeyboardInterrupt : after everything is stopped; what was captured is kept, marked as interrupted.

    >>> plan = lab.LoadPlan("locustfile.py", stages=[lab.Stage("30s", users=20)])  # doctest: +SKIP
    >>> one = lab.run(plan, lab.Target("now", host="http://127.0.0.1:8001"))       # doctest: +SKIP
    """
    with Progress(_expected_s(plan), f"{target.arm}: {plan}", shown=progress) as shown:
        folder = _one(plan, target, store, _Place(), shown, 0.0)
    return _load(folder)


def run_pairs(
    plan: LoadPlan,
    baseline: Target,
    candidate: Target,
    *,
    pairs: int = 10,
    seed: int | None = None,
    store: str | Path = "runs",
    progress: bool = True,
) -> tuple[Measurements, Measurements]:
    """Runs of two targets in randomised, interleaved pairs: the design that `compare` trusts most.

    The two runs of a pair follow each other, so that whatever drifts meets both; which comes first is drawn by
    lot, each arm being first equally often (to one), so that neither gains from its place.

    Parameters
    ----------
    plan, store, progress : as in `run`.
    baseline, candidate : the two targets; their arms must differ.
    pairs : how many. 6 are the fewest for an exact test; `plan_runs` says how many an effect needs.
    seed : makes the order of the runs repeatable; drawn, and recorded, if not given.

    Returns
    -------
    (baseline, candidate) : two Measurements of ``pairs`` runs each.

    Raises
    ------
    As `run`. An interruption keeps the pairs so far; its text says how to load them.

    >>> plan = lab.LoadPlan("locustfile.py", stages=[lab.Stage("30s", users=20)])          # doctest: +SKIP
    >>> old = lab.Target("n+1", host="http://127.0.0.1:8001")                              # doctest: +SKIP
    >>> new = lab.Target("eager", host="http://127.0.0.1:8002")                            # doctest: +SKIP
    >>> before, after = lab.run_pairs(plan, old, new, pairs=10, seed=7)                    # doctest: +SKIP
    >>> lab.compare(before, after).verdict                                                 # doctest: +SKIP
    'improved'
    """
    if not isinstance(pairs, int) or isinstance(pairs, bool) or pairs < 1:
        raise ValueError(f"run_pairs: pairs must be 1 or more; got {pairs!r}")
    if baseline.arm == candidate.arm:
        raise ValueError(f"run_pairs: the two targets need different arms; both are {baseline.arm!r}")
    seed = secrets.randbelow(2**31) if seed is None else seed
    experiment = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    each, done_s = _expected_s(plan), 0.0
    folders: dict[str, list[Path]] = {baseline.arm: [], candidate.arm: []}
    with Progress(2 * pairs * each, "pairs", shown=progress) as shown:
        try:
            for pair, baseline_first in enumerate(draw_order(pairs, seed), start=1):
                both = (baseline, candidate) if baseline_first else (candidate, baseline)
                for order, target in enumerate(both, start=1):
                    shown.update(done_s, label=f"pair {pair} of {pairs}, {target.arm}")
                    place = _Place(experiment, pair, order)
                    folders[target.arm].append(_one(plan, target, store, place, shown, done_s, seed))
                    done_s += each
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped in pair {len(folders[baseline.arm]) + 1} of {pairs}; what was captured is kept: "
                f'load("{store}", experiment="{experiment}")'
            ) from None
    return _load(*folders[baseline.arm]), _load(*folders[candidate.arm])


def draw_order(pairs: int, seed: int) -> list[bool]:
    """For each pair whether the baseline goes first: half of them (to one), in an order drawn by lot.

    >>> sorted(draw_order(4, seed=7))
    [False, False, True, True]
    """
    generator = random.Random(seed)
    first = [True] * (pairs // 2) + [False] * (pairs // 2)
    if pairs % 2:
        first.append(generator.random() < 0.5)
    generator.shuffle(first)
    return first


def _expected_s(plan: LoadPlan) -> float:
    """Seconds of a run with what surrounds it; for the progress display only."""
    return plan.duration_s + 3.0


def _load(*folders: Path) -> Measurements:
    return sum((store.load(folder) for folder in folders), start=0)  # type: ignore[return-value]


def _one(
    plan: LoadPlan,
    target: Target,
    place: str | Path,
    at: _Place,
    shown: Progress,
    done_s: float,
    seed: int | None = None,
) -> Path:
    """Drive one run and keep it; returns its folder."""
    plan.found_locustfile()
    draft = store.Draft(place, target.arm)
    try:
        ended = _drive(plan, target, draft, shown, done_s)
        return _keep(plan, target, draft, at, ended, seed)
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO):
            raise
        raise StoreError(f"{draft.store}: the run cannot be kept: {problem.strerror}") from problem
    finally:
        # Kept, the folder has its real name by now; anything else must not be left half-written.
        draft.drop()


@dataclass(frozen=True)
class _Ended:
    """How the load ended: in time, or for a reason; whether by the user; the resources seen."""

    reason: str | None
    interrupted: bool
    sampler: Sampler
    environment: dict[str, Any]


def _drive(plan: LoadPlan, target: Target, draft: store.Draft, shown: Progress, done_s: float) -> _Ended:
    environment = provenance.stamp()
    reason, interrupted = None, False
    with serving(target, draft.folder) as service:
        generator = draft.folder / GENERATOR
        locust = process.start(plan, target.host, generator, log=draft.folder / "logs" / "locust.log")
        trees = {"generator": locust.pids} | ({"target": (service.pid,)} if service.pid else {})
        with Sampler(trees) as sampler:
            try:
                reason = _watch(plan, locust, service, generator, shown, done_s)
            except KeyboardInterrupt:
                interrupted = True
            finally:
                locust.stop()
        if not interrupted:
            _must_have_worked(locust, generator)
    return _Ended(reason, interrupted, sampler, environment)


def _watch(
    plan: LoadPlan, locust: process.Generator, service: Service, folder: Path, shown: Progress, done_s: float
) -> str | None:
    """Wait for the end of the load, showing how it goes; returns why it ended before its time."""
    began, tail = time.monotonic(), capture.Tail(folder)
    limit_s = plan.duration_s + plan.stop_timeout_s + _OVERTIME_S
    while not locust.wait(_POLL_S):
        if died := service.died():
            return died
        elapsed = time.monotonic() - began
        if elapsed > limit_s:
            return f"Locust did not end {format_ms(_OVERTIME_S * 1e3)} after the plan's end and was stopped"
        facts = tail.update()
        shown.update(
            done_s + min(elapsed, _expected_s(plan)),
            requests=f"{facts['requests']:,}",
            p95=format_ms(facts["p95_ms"]) if facts["requests"] else "–",
            errors=format_fraction(facts["errors"] / facts["requests"]) if facts["requests"] else "–",
        )
    if locust.exit_code() == CANNOT_WRITE:
        return f"the generator could not write its records: {locust.tail(300).strip().splitlines()[-1]}"
    return service.died() or (f"Locust ended with exit code {locust.exit_code()}" if locust.exit_code() else None)


def _must_have_worked(locust: process.Generator, folder: Path) -> None:
    """Raise unless Locust made at least one request."""
    found = capture.processes(folder)
    if sum(p.count for p in found):
        return
    errors = [note["text"] for p in found for note in p.notes.get("user_error", [])]
    if errors:
        raise process.failure(locust, f"no request was made: the locustfile's users raised {errors[0]}")
    if locust.exit_code():
        raise process.failure(locust, f"Locust ended with exit code {locust.exit_code()} before it made a request")
    raise process.failure(locust, "the run made no request at all: does the locustfile have tasks, and the plan users?")


def _keep(plan: LoadPlan, target: Target, draft: store.Draft, at: _Place, ended: _Ended, seed: int | None) -> Path:
    folder, generator = draft.folder, draft.folder / GENERATOR
    found = capture.processes(generator)
    if not sum(p.count for p in found):
        raise KeyboardInterrupt("interrupted before the first request; nothing was kept")
    written = capture.write_requests(found, folder / "requests.parquet")
    draft.write("load", capture.load_frame(found))
    draft.write("resources", ended.sampler.frame(draft.run))
    start_s, stop_s = _span(found)
    reason = f"interrupted after {format_ms((stop_s - start_s) * 1e3)}" if ended.interrupted else ended.reason
    entries = process.statistics(generator)
    shutil.rmtree(generator)
    judgement = validity.judge(
        found,
        written,
        locust_count=process.counted(entries) if entries else None,
        expected_arrivals=plan.expected_arrivals,
        poisson=plan.arrivals == "poisson",
        expected_workers=plan.workers,
        ended=reason,
    )
    warnings = [*judgement.warnings, *(_keep_queries(draft) if target.record_queries else ())]
    kept = draft.keep(
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
            "environment": _environment(target, ended.environment, seed),
            "locust": entries,
        }
    )
    if ended.interrupted:
        raise KeyboardInterrupt(f"stopped; what was captured is kept: {kept}")
    return kept


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
