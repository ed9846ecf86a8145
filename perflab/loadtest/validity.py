"""Whether a run is valid, and the reasons if not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from perflab.loadtest import reasons
from perflab.loadtest.capture import Process, Written
from perflab.notes import Note, Remedy, notes_of

ERROR_LIMIT = 0.5
SCHEDULE_LIMIT = 0.02
LAG_LIMIT_MS, LAG_SHARE = 5.0, 0.2
OMISSION_LIMIT = 0.025
"""Half of what lies above p95: with more requests missing, p95 itself is too low."""
_CLOCK_JUMP_S = 0.05


@dataclass(frozen=True)
class Judgement:
    """``reasons`` make the run invalid; ``warnings`` do not."""

    reasons: tuple[Note, ...]
    warnings: tuple[Note, ...]


def judge(
    processes: Sequence[Process],
    written: Written,
    *,
    locust_count: int | None,
    expected_arrivals: float | None = None,
    poisson: bool = False,
    expected_workers: int = 1,
    ended: object = None,
    merged: bool = False,
    restarted: object = None,
) -> Judgement:
    """Judge what a run left behind.

    ``written`` are the captured requests, ``locust_count`` is Locust's own final count (None when it wrote none),
    ``expected_arrivals`` what an open plan asked for, ``ended`` is what ended the run before its time, ``restarted`` that
    the target did: notes, or what a file kept of them.
    """
    generators = [p for p in processes if p.role != "master"]
    lost = [p for p in processes if p.footer is None]
    found = [*notes_of(note for note in (ended, restarted) if note), *map(_lost, lost)]
    if len(generators) < expected_workers and not ended:
        found.append(reasons.WORKERS_MISSING(wanted=expected_workers, found=len(generators)))
    raw = sum(p.count for p in generators)
    if not lost and locust_count is None and not ended and not merged:
        found.append(reasons.NO_COUNT())
    if not lost and locust_count is not None and raw != locust_count:
        found.append(reasons.COUNTS_DIFFER(captured=raw, counted=locust_count))
    found += [reasons.TORN(process=p.name, left=p.torn_bytes) for p in generators if p.torn_bytes and p.footer]
    found += _saturated(processes) + _censored(processes) + _jumped(processes)
    if expected_arrivals is not None and not ended and not lost:
        found += _behind(generators, written, expected_arrivals, poisson)
    if written.rows and written.failed / written.rows > ERROR_LIMIT:
        found.append(reasons.MOST_FAILED(failed_fraction=written.failed / written.rows, limit_fraction=ERROR_LIMIT))
    warnings = _warnings(generators, raw - written.rows)
    if expected_arrivals is None:
        warnings += _exposed(generators, written)
    else:
        warnings += _late(written)
    return Judgement(tuple(found), tuple(warnings))


def _lost(process: Process) -> Note:
    if process.role == "remote":
        return reasons.REMOTE_WORKER_LOST(Remedy("merge"), worker=process.name.removeprefix("remote-"))
    return (reasons.WORKER_LOST if process.role == "worker" else reasons.PROCESS_LOST)(process=process.name)


def _behind(generators: Sequence[Process], written: Written, expected: float, poisson: bool) -> list[Note]:
    """Why the schedule of an open plan was not kept."""
    found = []
    begun = sum(note["begun"] for p in generators for note in p.notes.get("arrivals", []))
    allowed = SCHEDULE_LIMIT + (4 / math.sqrt(expected) if poisson and expected else 0.0)
    if expected and abs(begun - expected) / expected > allowed:
        found.append(reasons.ARRIVALS_MISSED(started=begun, expected=round(expected)))
    if written.lag.count:
        lag, latency = written.lag.quantile(0.95), written.latency.quantile(0.95)
        if lag > max(LAG_LIMIT_MS, LAG_SHARE * latency):
            found.append(reasons.ARRIVALS_LATE(lag_ms=lag, latency_ms=latency))
    return found


def schedule(processes: Sequence[Process], written: Written, expected: float) -> dict[str, float]:
    """How an open plan's schedule was kept: what is recorded with the run."""
    notes = [note for p in processes for note in p.notes.get("arrivals", [])]
    return {
        "arrivals_expected": expected,
        "arrivals_begun": sum(note["begun"] for note in notes),
        "lag_p50_ms": written.lag.quantile(0.5),
        "lag_p95_ms": written.lag.quantile(0.95),
        "lag_max_ms": written.lag.largest,
    }


def _late(written: Written) -> list[Note]:
    """Whether a small lag is still a large part of the latency."""
    lag, latency = written.lag.quantile(0.95), written.latency.quantile(0.95)
    if not lag > LAG_SHARE * latency or lag > LAG_LIMIT_MS:
        return []
    return [reasons.LAG_IN_LATENCY(lag_ms=lag, latency_ms=latency)]


def _exposed(processes: Sequence[Process], written: Written) -> list[Note]:
    """Whether stalls kept the users of a closed model from sending, so that slow moments are under-represented.

    For each request much slower than usual, its user would have sent as many more as fit into that time; what was not
    sent can't have been slow in the records (coordinated omission; Gil Tene, How not to measure latency).
    """
    spans = [note["time"] for p in processes for kind in ("start", "stop") for note in p.notes.get(kind, [])]
    users = sum(_mean_users(p, min(spans), max(spans)) for p in processes) if spans else 0.0
    if written.rows < 100 or len(spans) < 2 or not users:
        return []
    cycle = (max(spans) - min(spans)) * 1e3 * users / written.rows
    missing = stalled = 0.0
    for latencies in written.by_endpoint.values():
        # Slow for this endpoint: a report that always takes long is no stall.
        limit = max(10 * latencies.quantile(0.5), 2 * cycle)
        missing += latencies.above(limit, lambda waited: waited / cycle - 1) / written.rows
        stalled = max(stalled, latencies.largest if latencies.largest > limit else 0.0)
    if missing <= OMISSION_LIMIT:
        return []
    return [reasons.OMISSION(Remedy("Stage", {"rate": ...}), stall_ms=stalled, missing_fraction=missing)]


def _mean_users(process: Process, start: float, stop: float) -> float:
    notes = [note["users"] for note in process.notes.get("users", []) if start <= note["time"] <= stop]
    return sum(notes) / len(notes) if notes else 0.0


def _saturated(processes: Sequence[Process]) -> list[Note]:
    busiest = max((note["percent"] for p in processes for note in p.notes.get("cpu", [])), default=0.0)
    return [reasons.GENERATOR_BUSY(cpu_fraction=busiest / 100)] if busiest else []


def _censored(processes: Sequence[Process]) -> list[Note]:
    stopped = [note for p in processes for note in p.notes.get("stopped", []) if note["censored"]]
    if not stopped:
        return []
    return [reasons.CUT_OFF(waited_ms=max(note["took_s"] for note in stopped) * 1e3)]


def _jumped(processes: Sequence[Process]) -> list[Note]:
    jump = max((abs(p.footer["clock_jump_s"]) for p in processes if p.footer), default=0.0)
    return [reasons.CLOCK_SET(jump_ms=jump * 1e3)] if jump > _CLOCK_JUMP_S else []


def _warnings(generators: Sequence[Process], without_time: int) -> list[Note]:
    found: list[Note] = []
    errors = [note["text"] for p in generators for note in p.notes.get("user_error", [])]
    if errors:
        count = sum(max(len(p.notes.get("user_error", [])), (p.footer or {}).get("user_errors", 0)) for p in generators)
        found.append(reasons.USER_ERRORS(errors=count, first=errors[0]))
    if without_time:
        found.append(reasons.WITHOUT_TIME(events=without_time))
    names = max((len(p.notes.get("endpoint", [])) for p in generators), default=0)
    if names > 500:
        found.append(reasons.MANY_ENDPOINTS(endpoints=names))
    return found
